"""Row 17: callers without a key, or with a guessed one, beside a tenant's calls."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from statistics import quantiles
from time import monotonic, perf_counter
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.attack.keyless_floods import ASSAULTS
from tests.attack.row import Figure, Ground
from tests.bench.methods import GET, request
from tests.bench.processes import Server, load_on_one_core, started
from tests.bench.seed import Owner, plant, settings
from tests.support.leasing import ROOT

ROUNDS, SECONDS = 3, 3.0
"""Rounds of calls without and with an assault, and their seconds; a partial run has one round."""
PARTIAL_ASSAULTS = 4
"""Assaults of a partial run, chosen at random."""
BROKEN = frozenset({"5000 idle connections"})
"""Assaults known to break the promise, as SECURITY.md says: only a full run makes them."""
BEGIN_SECONDS = 2.0
"""Time for an assault to open its connections."""
RECOVERY_SECONDS = 15.0
CALL_SECONDS, HEALTH_SECONDS = 5.0, 3.0
PAUSE_SECONDS = 0.002
MAX_MIB = 30
MAX_SLOWER = 3
SPARE_SECONDS = 0.5
"""What the slowest calls of a short run may take, however fast they are without: other tests run
meanwhile, and an assault that breaks the promise makes calls fail or take seconds."""
ALONE = [("grpc.use_local_subchannel_pool", 1)]


@dataclass
class Beside:
    """The durations and failures of an uninvolved tenant's calls."""

    taken: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    unhealthy: int = 0
    healthy: int = 0

    @property
    def p99(self) -> float:
        return quantiles(self.taken, n=100)[98] if len(self.taken) > 1 else CALL_SECONDS


class Tenant:
    """Calls GetProfile over one open channel, and health over new connections."""

    def __init__(self, channel: grpc.aio.Channel, address: str, owner: Owner) -> None:
        self._get: Any = channel.unary_unary(GET)
        self._address = address
        self._metadata = (("x-api-key", owner.keys[0]),)
        self._request = request(GET, next(iter(owner.tokens))).SerializeToString()

    async def calls(self, seconds: float, seen: Beside) -> None:
        until = monotonic() + seconds
        await asyncio.gather(self._gets(seen, until), self._checks(seen, until))

    async def _gets(self, seen: Beside, until: float) -> None:
        while monotonic() < until:
            began = perf_counter()
            try:
                await self._get(self._request, metadata=self._metadata, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                seen.failed[error.code().name] += 1
            else:
                seen.taken.append(perf_counter() - began)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _checks(self, seen: Beside, until: float) -> None:
        while monotonic() < until:
            async with grpc.aio.insecure_channel(self._address, ALONE) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                try:
                    await stub.Check(
                        health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS, wait_for_ready=True
                    )
                except grpc.aio.AioRpcError:
                    seen.unhealthy += 1
                else:
                    seen.healthy += 1
            await asyncio.sleep(0.5)


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    read = settings(ground.folder, f"sqlite:///{ground.folder / 'postcore.db'}")
    owners = await plant(read, 1, 5)
    with load_on_one_core() if part == 1 else nullcontext("") as core:
        # the soft limit of most machines
        before = ("prlimit", "--nofile=1024:")
        log = ground.folder / "log"
        async with (
            started(("service", "serve"), read, core, log, before=before) as server,
            grpc.aio.insecure_channel(server.address, ALONE) as channel,
        ):
            tenant = Tenant(channel, server.address, owners[0])
            await tenant.calls(1, Beside())
            await _settled(server)
            figures = []
            held = [name for name in ASSAULTS if name not in BROKEN]
            for name in ASSAULTS if part == 1 else random.sample(held, PARTIAL_ASSAULTS):
                ground.say(name)
                figures.append(await _assaulted(server, tenant, name, part))
            return figures


async def _settled(server: Server) -> None:
    """Wait until the process has loaded everything: background loading at the start is no
    growth."""
    before = 0.0
    while server.memory - before > 0.5:
        before = server.memory
        await asyncio.sleep(2)


async def _assaulted(server: Server, tenant: Tenant, name: str, part: float) -> Figure:
    usual, beside, memory, grown, back = Beside(), Beside(), server.memory, 0.0, 0.0
    for _ in range(ROUNDS if part == 1 else 1):
        await tenant.calls(SECONDS, usual)
        async with _under(name, server):
            await asyncio.sleep(BEGIN_SECONDS)
            await tenant.calls(SECONDS, beside)
            grown = max(grown, server.memory - memory)
        back = max(back, await _back_after(tenant))
    slower = beside.p99 / usual.p99
    failed = sum(beside.failed.values())
    return Figure(
        f"{name}, {ROUNDS if part == 1 else 1} × {BEGIN_SECONDS + SECONDS:.0f} s",
        f"GetProfile of another: {failed} of {failed + len(beside.taken)} failed, p99"
        f" {1000 * beside.p99:.1f} ms, {1000 * usual.p99:.1f} without; healthcheck:"
        f" {beside.unhealthy} of {beside.unhealthy + beside.healthy} failed; {grown:+.0f} MiB;"
        f" all back after {back:.1f} s",
        not failed
        and not beside.unhealthy
        and (slower < MAX_SLOWER or (part != 1 and beside.p99 < SPARE_SECONDS))
        and grown < MAX_MIB
        and back < RECOVERY_SECONDS,
    )


async def _back_after(tenant: Tenant) -> float:
    """Return the seconds until calls and health checks succeed for one second in a row."""
    began = monotonic()
    while monotonic() - began < RECOVERY_SECONDS:
        after = monotonic() - began
        seen = Beside()
        await tenant.calls(1, seen)
        if not seen.failed and not seen.unhealthy:
            return after
    return RECOVERY_SECONDS


@asynccontextmanager
async def _under(name: str, server: Server) -> AsyncIterator[None]:
    """Run an assault in its own process during the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attack.keyless_floods", name, server.address, server.http),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        assert process.returncode is None, f"the assault {name} has ended by itself"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
