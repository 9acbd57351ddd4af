"""Row 7: API keys are guessed, leaked and revoked, or probed by timing."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, perf_counter_ns
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from service.access.api_keys import BASE62, ApiKeys, _checksum
from service.app.startup import open_store
from service.crypto.keyring import Keyring
from service.domain.clock import SystemClock
from service.domain.ids import random_id
from service.domain.model import DEFAULT_SCOPES, ApiKey, Scope
from service.storage.api_keys import SqlApiKeys
from service.storage.migrations import migrate_apart
from tests.attack.intervals import interval
from tests.attack.row import Figure, Ground, share
from tests.bench.methods import PLATFORMS
from tests.bench.processes import started
from tests.bench.seed import plant, settings
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, refusal_of, running
from tests.support.watcher import DEADLINE, begun

GUESSES = 2_000
KEYS = 20
SAMPLES = 20_000
CACHED = 8
"""Ids of each kind, requested repeatedly."""
SOON = 5.0
FELT = 0.01
"""The part of a call's time that a difference must reach to be measurable over a network."""
FELT_IN_FEW = 0.05
"""The same, for a run with a part of the samples."""


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    database = ground.folder / "postcore.db"
    assert migrate_apart(f"sqlite:///{database}")
    async with SandboxBluesky.started() as sandbox:
        more = {**sandbox.settings(), "CALLS_PER_SECOND": "1000000"}
        async with running(database, more) as service:
            ground.say("keys with a bad checksum")
            figures = [await _guessed(service, share(GUESSES, part))]
            ground.say("keys that are revoked")
            figures += await _revoked(service, share(KEYS, part))
    ground.say("the time that a refusal takes")
    return [*figures, *await _timed(ground.folder, part)]


async def _guessed(service: Running, count: int) -> Figure:
    """Change one letter of a valid key, at any position."""
    chance = Random(1)
    with _looked_up() as looked_up:
        refused = 0
        async with _asked(service) as ask:
            for _ in range(count):
                place = chance.randrange(len("pc_live_"), len(service.api_key))
                letter = chance.choice(sorted({*BASE62} - {service.api_key[place]}))
                guess = service.api_key[:place] + letter + service.api_key[place + 1 :]
                refused += await ask(guess) == {"INVALID_API_KEY"}
            seen = len(looked_up)
            # a key with a valid checksum is looked up: proves that the counter counts
            assert await ask(_forged(random_id())) == {"INVALID_API_KEY"}
            assert len(looked_up) == seen + 1
    return Figure(
        f"{count} guesses with a bad checksum, each over gRPC and HTTP",
        f"{refused} refused, {seen} look-ups in the store",
        refused == count and seen == 0,
    )


@contextmanager
def _looked_up() -> Iterator[list[object]]:
    """Record the keys that the store looks up."""
    found: list[object] = []
    get = SqlApiKeys.get

    async def noted(self: SqlApiKeys, key_id: str) -> ApiKey | None:
        found.append(key_id)
        return await get(self, key_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlApiKeys, "get", noted)
        yield found


@asynccontextmanager
async def _asked(service: Running) -> AsyncIterator[Any]:
    """Yield a function that calls with a key over gRPC and HTTP and returns the refusal reasons."""
    async with httpx.AsyncClient(
        base_url=f"http://{service.http}", timeout=DEADLINE, trust_env=False
    ) as http:

        async def ask(key: str) -> set[str]:
            raw: Any = service.channel.unary_unary(PLATFORMS)
            reasons = set()
            try:
                await raw(b"", metadata=service.metadata(key), timeout=DEADLINE)
                reasons.add("")
            except grpc.aio.AioRpcError as error:
                reasons.add(refusal_of(error).reason)
            answer = await http.get("/platforms", headers={"x-api-key": key})
            return reasons | {answer.json().get("error", "")}

        yield ask


async def _revoked(service: Running, count: int) -> list[Figure]:
    """Revoke keys in use over gRPC and HTTP, and others in use by watches, all at once."""
    keys = [await service.new_key(Scope.PROFILES_READ) for _ in range(2 * count)]
    # one key for each transport: a watch revalidates its key, also for calls
    calling, watching = keys[:count], keys[count:]
    watchers = [await begun(service, api_key=key) for key, _ in watching]
    async with _asked(service) as ask:
        for key, _ in calling:
            assert await ask(key) == {""}
        at = {}
        for key, key_id in keys:
            await service.revoke_key(key_id)
            at[key] = monotonic()

        async def called(key: str) -> float:
            while await ask(key) != {"INVALID_API_KEY"}:
                await asyncio.sleep(0.05)
            return monotonic() - at[key]

        async def watched(key: str, watcher: Any) -> float:
            assert (await watcher.refusal()).reason == "INVALID_API_KEY"
            return monotonic() - at[key]

        async with asyncio.timeout(DEADLINE):
            calls = await asyncio.gather(*(called(key) for key, _ in calling))
            streams = await asyncio.gather(
                *(
                    watched(key, watcher)
                    for (key, _), watcher in zip(watching, watchers, strict=True)
                )
            )
    return [
        Figure(
            f"{count} keys in use, then revoked beside the server: until {what}",
            f"{max(seconds):.1f} s at most",
            # a call in progress is answered a moment later
            max(seconds) <= SOON + 0.2,
        )
        for what, seconds in (
            ("calls are refused, gRPC and HTTP", calls),
            ("watches end", streams),
        )
    ]


async def _timed(folder: Path, part: float) -> list[Figure]:
    """Time pairs of a known and an unknown id, both with a wrong secret and a valid checksum."""
    pairs = share(SAMPLES // 2, part)
    read = settings(folder, f"sqlite:///{folder / 'timed.db'}")
    [owner] = await plant(read, 1, 1)
    known = await _known(read, owner.tenant_id, pairs + CACHED)
    few_known, few_unknown = known[:CACHED], [random_id() for _ in range(CACHED)]
    chance = Random(secrets.randbits(64))
    figures = []
    async with (
        started(("service", "serve"), read, "", folder / "log") as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await _differences(channel, [(chance.choice(known[:1]), random_id()) for _ in range(200)])
        for name, tried in (
            ("at their first look-up", [(one, random_id()) for one in known[CACHED:]]),
            (
                "again and again",
                [(chance.choice(few_known), chance.choice(few_unknown)) for _ in range(pairs)],
            ),
        ):
            usual, differences = await _differences(channel, tried)
            low, high = interval(differences)
            felt = usual * (FELT if part == 1 else FELT_IN_FEW)
            figures.append(
                Figure(
                    f"{2 * pairs} refusals of known and of unknown ids, {name}, shuffled in pairs",
                    f"known − unknown: 95 % interval of the trimmed mean "
                    f"{low / 1000:+.1f} to {high / 1000:+.1f} µs, of calls that take "
                    f"{usual / 1000:.0f} µs; to be felt it would take {felt / 1000:.1f} µs",
                    _too_small(low, high, felt),
                )
            )
    return figures


def _too_small(low: float, high: float, felt: float) -> bool | None:
    """Return whether a difference is shown to be too small to be measured.

    An interval that merely contains 0 would prove nothing: a wide one always does.
    """
    if max(abs(low), abs(high)) < felt:
        return True
    return False if min(abs(low), abs(high)) >= felt and low * high > 0 else None


async def _known(read: Any, tenant_id: str, count: int) -> list[str]:
    """Create *count* keys and return their ids."""
    async with open_store(read) as store:
        access = ApiKeys(store.api_keys, Keyring(read.keyring_file), SystemClock())
        keys = [access.mint(tenant_id, "", DEFAULT_SCOPES)[1] for _ in range(count)]
        for start in range(0, count, 500):
            some = keys[start : start + 500]
            assert all(await asyncio.gather(*map(store.api_keys.add, some)))
    return [key.key_id for key in keys]


async def _differences(
    channel: grpc.aio.Channel, pairs: Sequence[tuple[str, str]]
) -> tuple[float, list[float]]:
    """Return a call's typical nanoseconds, and for each pair by how much the first took longer."""
    raw: Any = channel.unary_unary(PLATFORMS)
    taken: list[float] = []
    differences = []

    async def refusal(key_id: str) -> float:
        metadata = (("x-api-key", _forged(key_id)),)
        began = perf_counter_ns()
        call = raw(b"", metadata=metadata, timeout=DEADLINE)
        code = await call.code()
        took = perf_counter_ns() - began
        assert code is grpc.StatusCode.UNAUTHENTICATED
        return took

    gc.collect()
    gc.disable()
    try:
        for known, unknown in pairs:
            if secrets.randbits(1):
                first = await refusal(known)
                second = await refusal(unknown)
            else:
                second = await refusal(unknown)
                first = await refusal(known)
            taken += (first, second)
            differences.append(first - second)
    finally:
        gc.enable()
    return median(taken), differences


def _forged(key_id: str) -> str:
    body = f"pc_live_{key_id}_{''.join(secrets.choice(BASE62) for _ in range(43))}"
    return body + _checksum(body)
