"""Webhooks: events of many tenants to 50 receivers, of which 10 are bad, beside the same without.

Each tenant has two receivers. The bad ones hang, drip, redirect, refuse, or answer 500, 429 and
410. Then they are mended, and must get everything too.
"""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time

import click

from service.app.build import Application, build
from service.crypto.keyring import create_keyring, new_keys
from service.domain.ids import random_id
from service.domain.model import DAY, SECOND, EventKind, Tenant
from service.settings import Settings
from service.storage.engine import Transaction
from service.storage.events import add_event
from service.storage.migrations import migrate_apart
from tests.support.receiver import (
    CONNECTION,
    OK,
    Answer,
    Message,
    Receiver,
    drip,
    hang,
    status,
)
from tests.support.running import MovedClock

RECEIVERS, BAD = 50, 10
PER_TENANT = 2
EVENTS = 10_000
BURST_SECONDS = 0.25
"""From one event of each tenant to the next."""
PROFILES = 10
"""Of each tenant."""
SECONDS = 600.0
KINDS: tuple[Answer | None, ...] = (
    *(hang, drip, status(500), status(302, "location: /"), None),
    *(hang, drip, status(500), status(429, "retry-after: 60"), status(410)),
)
"""How the bad ones are; None: nobody listens."""


@dataclass
class Run:
    """The outcome of one run. *waits*: from commit to arrival, in seconds, at good receivers."""

    waits: list[float] = field(default_factory=list)
    lost: int = 0
    misordered: int = 0
    repeated: int = 0
    seconds: float = 0

    @property
    def p99(self) -> float:
        return sorted(self.waits)[int(0.99 * len(self.waits))]

    @property
    def median(self) -> float:
        return sorted(self.waits)[len(self.waits) // 2]


@dataclass
class Hook:
    """A receiver, its tenant and its webhook."""

    receiver: Receiver
    tenant_id: str
    webhook_id: str = ""
    is_bad: bool = False


async def table(events: int = EVENTS) -> bool:
    """Print the figures beside their targets; return whether all were met."""
    click.echo(f"{events} events to {RECEIVERS} receivers")
    with tempfile.TemporaryDirectory() as folder:
        good = await measured(Path(folder) / "good", events, bad=0)
        mixed = await measured(Path(folder) / "mixed", events, bad=BAD)
    rows = [
        ("all good: median and p99 from commit to arrival", _times(good), True),
        (f"{BAD} bad: the same, at the good ones", _times(mixed), True),
        (
            "p99, as a multiple (target: < 2)",
            f"{mixed.p99 / good.p99:.2f}",
            mixed.p99 < 2 * good.p99,
        ),
    ]
    for name, run in (("all good", good), (f"{BAD} bad, mended in the end", mixed)):
        rows += [
            (f"{name}: seconds for all of them", f"{run.seconds:.0f}", True),
            (f"{name}: messages lost", str(run.lost), run.lost == 0),
            (f"{name}: out of order in their profile", str(run.misordered), run.misordered == 0),
            (f"{name}: sent again after they were accepted", str(run.repeated), True),
        ]
    for text, value, met in rows:
        click.echo(f"{'ok' if met else 'MISSED':7} {text}: {value}")
    return all(met for _, _, met in rows)


def _times(run: Run) -> str:
    return f"{run.median * 1000:.0f} ms, {run.p99 * 1000:.0f} ms ({len(run.waits)} messages)"


async def measured(folder: Path, events: int, *, bad: int) -> Run:
    """Send *events* with that many bad receivers; mend these in the end."""
    await asyncio.to_thread(folder.mkdir)
    settings = _settings(folder)
    assert migrate_apart(settings["POSTCORE_DATABASE_URL"])
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(Receiver.started()) for _ in range(RECEIVERS)]
        settings["POSTCORE_WEBHOOK_ORIGINS"] = ",".join(each.origin for each in receivers)
        clock, run = MovedClock(), Run()
        read = Settings.read(settings)
        create_keyring(read.keyring_file, new_keys("figure"))
        built = await stack.enter_async_context(build(read, "live", clock))
        dispatching = asyncio.create_task(built.dispatcher.run())
        hooks = await _hooks(built, receivers, bad, clock)
        started = monotonic()
        committed = await _write(built, hooks, events)
        good = [hook for hook in hooks if not hook.is_bad]
        async with asyncio.timeout(SECONDS):
            for hook in good:
                await hook.receiver.until(events // len(_tenants(hooks)))
        run.seconds = monotonic() - started
        for hook in good:
            for message in hook.receiver.accepted:
                run.waits.append(message.at - committed[hook.tenant_id][_number(message)])
        await _mend(built, [hook for hook in hooks if hook.is_bad], clock)
        per_tenant = events // len(_tenants(hooks))
        for hook in hooks:
            _judge(run, hook.receiver, per_tenant)
        dispatching.cancel()
        await asyncio.wait([dispatching])
    return run


def _settings(folder: Path) -> dict[str, str]:
    return {
        "POSTCORE_DATABASE_URL": f"sqlite:///{folder / 'postcore.db'}",
        "POSTCORE_KEYRING_FILE": str(folder / "keyring.json"),
    }


async def _hooks(
    built: Application, receivers: Sequence[Receiver], bad: int, clock: MovedClock
) -> list[Hook]:
    hooks = []
    for number in range(0, len(receivers), PER_TENANT):
        tenant = Tenant(f"ten_{random_id()}", "figure", clock.now())
        await built.store.tenants.create(tenant)
        for receiver in receivers[number : number + PER_TENANT]:
            created = await built.webhooks.create(
                tenant.tenant_id, f"{receiver.origin}/in", ("connection.unverified",)
            )
            hooks.append(Hook(receiver, tenant.tenant_id, created.webhook.webhook_id))
    # one of each of the first tenants' two: its neighbour is a good one
    for hook, kind in zip(hooks[::PER_TENANT], KINDS[:bad], strict=False):
        hook.is_bad = True
        if kind is None:
            await hook.receiver.stop()
        else:
            hook.receiver.answer = kind
    return hooks


def _tenants(hooks: Sequence[Hook]) -> list[str]:
    return list(dict.fromkeys(hook.tenant_id for hook in hooks))


async def _write(
    built: Application, hooks: Sequence[Hook], events: int
) -> dict[str, dict[int, float]]:
    """Write *events*, one of each tenant every BURST_SECONDS; return when each was committed."""
    committed: dict[str, dict[int, float]] = defaultdict(dict)
    tenants, started = _tenants(hooks), monotonic()
    engine = built.store._engine

    async def write(tenant_id: str, number: int) -> None:
        async def job(transaction: Transaction) -> None:
            profile, at = f"prof_{number % PROFILES}", int(time() * SECOND)
            await add_event(transaction, tenant_id, profile, EventKind.UNVERIFIED, CONNECTION, at)

        await engine.write(job)
        committed[tenant_id][number] = monotonic()

    for number in range(1, events // len(tenants) + 1):
        await asyncio.gather(*(write(tenant_id, number) for tenant_id in tenants))
        await asyncio.sleep(max(0.0, started + number * BURST_SECONDS - monotonic()))
    return committed


async def _mend(built: Application, bad: Sequence[Hook], clock: MovedClock) -> None:
    """Have all of *bad* work, and wait until nothing waits for them."""
    for hook in bad:
        hook.receiver.answer = OK
        await hook.receiver.open()
    async with asyncio.timeout(SECONDS):
        while bad:
            for hook in bad:
                await built.webhooks.enable(hook.tenant_id, hook.webhook_id)
            counts = await built.store.webhook_queue.counts()
            now = clock.now()
            oldest = await built.store.webhook_queue.oldest_waiting(now)
            if (
                not counts.waiting
                and oldest is None
                and not await built.store.webhook_queue.due(now + DAY, 1)
            ):
                return
            await asyncio.sleep(1)


def _judge(run: Run, receiver: Receiver, expected: int) -> None:
    """Count what is missing, what was repeated, and what came before its predecessor."""
    seen: dict[int, None] = {}
    latest: dict[int, int] = {}
    for message in receiver.accepted:
        number = _number(message)
        if number in seen:
            run.repeated += 1
            continue
        seen[number] = None
        profile = number % PROFILES
        run.misordered += latest.get(profile, 0) > number
        latest[profile] = number
    run.lost += expected - len(seen)


def _number(message: Message) -> int:
    return int(message.message_id.split("_")[2])
