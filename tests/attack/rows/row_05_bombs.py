"""Row 5: servers send bombs, floods, drips and nonsense.

They act as account server, directory, well-known file, did:web or name server. The service and the
hostile internet are processes of their own. Periods of hostile connects alternate with equal
periods of connects to well-behaved servers, while another tenant calls at a steady pace.
"""

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter
from typing import Any

import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.attack.hostile_internet import handle, plans
from tests.attack.row import Figure, Ground
from tests.bench import processes, seed
from tests.platforms.bluesky_login import PASSWORD
from tests.support.leasing import ROOT
from tests.support.running import Running, refusal_of

MAX_MIB = 20
DEADLINE = 4.0
"""The callers' deadline in seconds; the service caps longer ones at MAX_DEADLINE."""
MAX_DEADLINE = 15.0
MAX_DELAY = 0.5
TENANTS = 4
PACE = 1 / 100
"""Seconds between another tenant's calls."""
HOSTILE_PACE = 1 / 10
"""Seconds between connects, to hostile and to well-behaved servers alike."""
MAX_SLOWER = 2.0
SPOILS_THE_NEXT = ("directory", "a body too long")
"""Bytes after an answer corrupt the next request on that connection, of any caller. No real
directory sends them to some callers only, and all callers share this directory."""
AT_ONCE = 32
HELD_UP_SECONDS = 1.0
"""The limit for one call in a hundred: the cost of an answer in one-byte pieces before it was
capped."""


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    # on a machine shared with other tests, this separates slow timing from a fault
    patience = 1 if part == 1 else 5
    async with _hostile(ground) as (dns_port, web_port, directory, roots):
        more = {"PLC_URL": directory, "HANDLE_RESOLVER_URL": "", "EGRESS_PROXY_CA_FILE": roots}
        read = seed.settings(ground.folder, f"sqlite:///{ground.folder}/postcore.db", more)
        module = ("tests.attack.redirected_process", str(dns_port), str(web_port), "serve")
        async with (
            processes.started(module, read, "", ground.folder / "log") as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            service = Running(read, server.address, channel)
            service.tenant_id = await service.new_tenant()
            service.api_key, _ = await service.new_key()
            flood = Flood(service, server)
            await flood.prepare()
            ground.say(f"{server.memory:.0f} MiB before")
            async with flood.memory_watched():
                ground.say("every kind in every role, up to the service's own deadline")
                ended = await flood.once(part, DEADLINE)
                longest = await flood.once(part, 4 * MAX_DEADLINE) if part == 1 else []
                ground.say("calls of another tenant meanwhile")
                pairs = await flood.beside(part)
    slower = statistics.median(flooded / calm for calm, flooded in pairs)
    shown = [f"{1000 * statistics.median(p99s):.1f} ms" for p99s in zip(*pairs, strict=True)]
    tries = [*ended, *longest]
    reasons = sorted(
        {reason for reason, _ in tries} - {"PLATFORM_UNAVAILABLE", "DEADLINE_EXCEEDED"}
    )
    latest = [
        (deadline, max(seconds for _, seconds in some))
        for deadline, some in ((DEADLINE, ended), (MAX_DEADLINE, longest))
        if some
    ]
    return [
        Figure(
            f"memory of the service, while {len(tries) + flood.sent} connects met servers that send"
            " bombs, floods, drips and nonsense",
            f"{flood.most - flood.before:+.1f} MiB at the most, of {MAX_MIB}",
            flood.most - flood.before < MAX_MIB,
        ),
        Figure(
            f"{len(tries)} connects to them: the last ended after",
            ", ".join(f"{seconds:.1f} s, of {deadline:.0f}" for deadline, seconds in latest),
            all(seconds < deadline + MAX_DELAY * patience for deadline, seconds in latest),
        ),
        Figure(
            "answers of such servers that were accepted as valid",
            f"{len(reasons)} {' '.join(reasons)}".strip(),
            set(reasons) <= {"INVALID_CREDENTIALS", "DEADLINE_EXCEEDED", ""},
        ),
        Figure(
            "another tenant's calls meanwhile: p99, against that beside as many good connects",
            f"{shown[1]} and {shown[0]}, {slower:.1f} times as long",
            _judged(slower, statistics.median(flooded for _, flooded in pairs), part),
        ),
        Figure(
            "another tenant's connects meanwhile that failed",
            f"{flood.failed} of {flood.connected}",
            flood.failed == 0 < flood.connected,
        ),
    ]


def _judged(slower: float, seconds: float, part: float) -> bool | None:
    """Judge a full run by the ratio alone.

    A few short stretches on a busy machine only show whether the event loop was blocked for long.
    """
    if slower < MAX_SLOWER or part == 1:
        return slower < MAX_SLOWER
    return False if seconds >= HELD_UP_SECONDS else None


@asynccontextmanager
async def _hostile(ground: Ground) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attack.hostile_internet", str(ground.folder)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(processes.DEADLINE):
            ready = await process.stdout.readline()
        yield json.loads(ready)
    finally:
        process.stdin.close()
        await process.wait()


class Flood:
    """Hostile connects of a few tenants, and calls of another tenant beside them."""

    def __init__(self, service: Running, server: processes.Server) -> None:
        self._service = service
        self._server = server
        self._numbers = count()
        self._keys: list[str] = []
        self._profile = ""
        self.before = self.most = 0.0
        self.sent = self.connected = self.failed = 0

    async def prepare(self) -> None:
        """Create keys, and make the calls that load everything."""
        self._keys = [
            (await self._service.new_key(tenant_id=await self._service.new_tenant()))[0]
            for _ in range(TENANTS)
        ]
        for _ in range(5):
            replies = await asyncio.gather(*(self._connect_to_good() for _ in range(AT_ONCE - 8)))
        self._profile = replies[0].profile_key
        await self._calls(2.0)

    @asynccontextmanager
    async def memory_watched(self) -> AsyncIterator[None]:
        self.before = self.most = self._server.memory

        async def watch() -> None:
            while True:
                self.most = max(self.most, self._server.memory)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()

    async def once(self, part: float, deadline: float) -> list[tuple[str, float]]:
        """Try each kind in each role, many at once; return each refusal's reason and seconds."""
        every = plans()[:: max(1, round(0.3 / part))]
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, role: str, kind: str) -> tuple[str, float]:
            async with room:
                return await self._refused(role, kind, number % TENANTS, deadline)

        return list(await asyncio.gather(*(one(n, *plan) for n, plan in enumerate(every))))

    async def beside(self, part: float) -> list[tuple[float, float]]:
        """Return two p99s of another tenant's calls for each pair of stretches.

        The first is beside connects to well-behaved servers, the second beside hostile ones.
        """
        pairs = []
        bad = [plan for plan in plans() if plan != SPOILS_THE_NEXT]
        seconds = 2.0 if part < 1 else 8.0
        for _ in range(3 if part < 1 else 7):
            p99s = []
            for plan in ([("well", "")], bad):
                flooding = asyncio.create_task(self._flood(seconds, plan))
                connecting = asyncio.create_task(self._connects(seconds))
                p99s.append(await self._calls(seconds))
                await asyncio.gather(flooding, connecting)
            pairs.append((p99s[0], p99s[1]))
        return pairs

    async def _flood(self, seconds: float, plan: Sequence[tuple[str, str]]) -> None:
        until = perf_counter() + seconds
        under_way = []
        while (left := until - perf_counter()) > 0:
            number = self.sent
            self.sent += 1
            role, kind = plan[number * 7 % len(plan)]
            calling = self._refused(role, kind, number % TENANTS, left)
            under_way.append(asyncio.create_task(calling))
            await asyncio.sleep(HOSTILE_PACE)
        await asyncio.gather(*under_way)

    async def _connects(self, seconds: float) -> None:
        until = perf_counter() + seconds
        while perf_counter() < until:
            self.connected += 1
            try:
                await self._connect_to_good()
            except grpc.aio.AioRpcError:
                self.failed += 1
            await asyncio.sleep(0.5)

    async def _connect_to_good(self) -> pb.ConnectProfileResponse:
        return await self._service.connect(handle("well", "", next(self._numbers)), PASSWORD)

    async def _refused(
        self, role: str, kind: str, tenant: int, seconds: float
    ) -> tuple[str, float]:
        started = perf_counter()
        try:
            await self._service.connect(
                handle(role, kind, next(self._numbers)),
                PASSWORD,
                api_key=self._keys[tenant],
                timeout=seconds,
            )
        except grpc.aio.AioRpcError as error:
            return refusal_of(error).reason, perf_counter() - started
        return f"connected by {role}, {kind}", perf_counter() - started

    async def _calls(self, seconds: float) -> float:
        """Return the p99 of calls at a steady pace."""
        request = pb.GetProfileRequest(profile_key=self._profile)

        async def call(wait: float) -> float:
            await asyncio.sleep(wait)
            started = perf_counter()
            await self._service.profiles.GetProfile(
                request, metadata=self._service.metadata(), timeout=30
            )
            return perf_counter() - started

        waits = [number * PACE for number in range(int(seconds / PACE))]
        times = await asyncio.gather(*map(call, waits))
        return statistics.quantiles(times, n=100)[98]
