"""Row 11: floods, and slow, huge or idle clients, do not slow down other callers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

import grpc
import grpc.aio

from service.domain.ids import random_id
from service.sandbox.faults import Hang
from tests.attack.measured_process import BYTE_BY_BYTE, Held
from tests.attack.row import Figure, Ground, share
from tests.attack.slow_clients import beside_slow_ones
from tests.bench.methods import PLATFORMS
from tests.bench.processes import Server, started
from tests.bench.seed import Owner, plant, settings
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running
from tests.support.watcher import DEADLINE

from .row_07_keys import _forged

LIMIT = 200
"""Calls a second of the flooded key."""
MAX_CALLS, MAX_STREAMS = 20, 5
BEYOND = 10_000
UNKNOWN = 30_000
HUGE = 1_000
AT_ONCE = 50
MAX_BYTES = 100
"""Bytes that a rejected call may leave behind."""
BESIDE = 1_000_000


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    figures = await _capped(ground)
    read = settings(
        ground.folder,
        f"sqlite:///{ground.folder / 'postcore.db'}",
        {"CALLS_PER_SECOND": str(LIMIT)},
    )
    owners = await plant(read, 12, 50)
    socket = str(ground.folder / "held")
    module = ("tests.attack.measured_process", socket, "serve")
    async with started(module, read, "", ground.folder / "log", BYTE_BY_BYTE) as server:
        ground.say("beyond the limit of a key")
        figures += await _limited(server, owners)
        for what, calls, flood in (
            ("calls beyond the limit of a key", BEYOND, _beyond(server, owners[0].keys[0])),
            ("calls with ids that do not exist", UNKNOWN, _unknown(server)),
            ("calls with 1 MiB of a message or 64 KiB of metadata", HUGE, _huge(server, owners)),
        ):
            ground.say(what)
            figures.append(await _flat(what, share(calls, part), flood, socket, part))
    ground.say("slow ones")
    return [*figures, *await beside_slow_ones(ground, read, owners, part)]


async def _capped(ground: Ground) -> list[Figure]:
    """Make more concurrent calls than the limit, all waiting for a server that hangs."""
    async with SandboxBluesky.started() as sandbox:
        folder = ground.folder / "capped"
        folder.mkdir()
        limits = {"MAX_CONCURRENT_CALLS": str(MAX_CALLS), "MAX_STREAMS": str(MAX_STREAMS)}
        read = settings(folder, f"sqlite:///{folder / 'db'}", {**sandbox.settings(), **limits})
        await plant(read, 1, 1)
        sandbox.server.breakages.add(Hang())
        async with (
            started(("service", "serve"), read, "", folder / "log") as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            service = Running(read, server.address, channel)
            [tenant] = service.rows("SELECT tenant_id FROM tenants")
            service.tenant_id = tenant["tenant_id"]
            service.api_key, _ = await service.new_key()
            person = await sandbox.person()
            calls = [
                asyncio.create_task(_code(service.connect(person.handle, person.app_password)))
                for _ in range(4 * (MAX_CALLS + MAX_STREAMS))
            ]
            most = MAX_CALLS  # watches have a limit of their own, and a large tenant no spare slots
            async with asyncio.timeout(DEADLINE):
                while sum(task.done() for task in calls) < len(calls) - most:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            ended = [task.result() for task in calls if task.done()]
            under_way = len(calls) - len(ended)
            sandbox.server.breakages.clear()
            await asyncio.gather(*calls)
            raw: Any = channel.unary_unary(PLATFORMS)
            again = await raw(b"", metadata=service.metadata(), timeout=DEADLINE).code()
    exhausted = ended.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
    return [
        Figure(
            f"{len(calls)} simultaneous calls that hang, with a limit of {most}",
            f"{under_way} under way, {exhausted} refused at once; calls afterwards: {again.name}",
            (under_way, exhausted) == (most, len(calls) - most) and again is grpc.StatusCode.OK,
        )
    ]


async def _code(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def _limited(server: Server, owners: Sequence[Owner]) -> list[Figure]:
    """Let one key call as fast as it can for over a second; another key must not be delayed."""
    flooding, other = owners[1].keys[0], owners[1].keys[1]
    async with grpc.aio.insecure_channel(server.address) as channel:
        raw: Any = channel.unary_unary(PLATFORMS)
        await raw(b"", metadata=(("x-api-key", other),), timeout=DEADLINE)
        codes: Counter[grpc.StatusCode] = Counter()
        began = monotonic()

        async def flood() -> None:
            while monotonic() < began + 2 or sum(codes.values()) < 4 * LIMIT:
                metadata = (("x-api-key", flooding),)
                codes[await raw(b"", metadata=metadata, timeout=DEADLINE).code()] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(flood())
            others = [
                await raw(b"", metadata=(("x-api-key", other),), timeout=DEADLINE).code()
                for _ in range(20)
            ]
        took = monotonic() - began
    passed = codes[grpc.StatusCode.OK]
    most = LIMIT + LIMIT * took
    return [
        Figure(
            f"{codes.total()} calls of one key in {took:.1f} s, with a limit of {LIMIT} a second",
            f"{passed} let through, {most:.0f} at most; "
            f"{others.count(grpc.StatusCode.OK)} of 20 of another key of the tenant",
            # all calls within the limit succeed, except for those due in the last moments
            LIMIT * max(1, took - 1) <= passed <= most
            and set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
            and set(others) == {grpc.StatusCode.OK},
        )
    ]


def _beyond(server: Server, key: str) -> Any:
    async def call(raw: Any, _: int) -> Any:
        return await raw(b"", metadata=(("x-api-key", key),), timeout=DEADLINE).code()

    return _flooded(server, call, {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED})


def _unknown(server: Server) -> Any:
    async def call(raw: Any, _: int) -> Any:
        metadata = (("x-api-key", _forged(random_id())),)
        return await raw(b"", metadata=metadata, timeout=DEADLINE).code()

    return _flooded(server, call, {grpc.StatusCode.UNAUTHENTICATED})


def _huge(server: Server, owners: Sequence[Owner]) -> Any:
    message, long = bytes(2**20), "x" * 2**16

    async def call(raw: Any, number: int) -> Any:
        key = ("x-api-key", owners[2].keys[number % 8])
        sent, more = (message, ()) if number % 2 else (b"", (("x-long", long),))
        return await raw(sent, metadata=(key, *more), timeout=DEADLINE).code()

    return _flooded(server, call, {grpc.StatusCode.RESOURCE_EXHAUSTED})


def _flooded(server: Server, call: Any, expected: set[grpc.StatusCode]) -> Any:
    async def flood(count: int) -> None:
        left = iter(range(count))
        async with grpc.aio.insecure_channel(server.address) as channel:
            raw: Any = channel.unary_unary(PLATFORMS)

            async def one_after_the_other() -> None:
                for number in left:
                    code = await call(raw, number)
                    assert code in expected, code

            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(one_after_the_other())

    return flood


async def _flat(what: str, count: int, flood: Any, socket: str, part: float) -> Figure:
    """Compare the memory in use after each half; the first half fills the caches."""
    await flood(count // 2)
    await asyncio.sleep(1)
    before = await Held.by(socket)
    await flood(count // 2)
    await asyncio.sleep(1)
    grown = (await Held.by(socket)).bytes - before.bytes
    # a partial run is still filling the caches up to their caps
    most = max(MAX_BYTES * count // 2, BESIDE)
    return Figure(
        f"{count} {what}: bytes in use after the second half and after the first",
        f"{grown / 1e6:+.2f} MB of {before.bytes / 1e6:.0f} MB",
        grown <= (most if part == 1 else 2 * BESIDE),
    )
