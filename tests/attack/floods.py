"""Row 11: floods, and clients that are slow, huge or idle, cost the others nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from random import Random
from statistics import quantiles
from time import monotonic, perf_counter
from typing import Any

import grpc
import grpc.aio

from service.access import random_id
from service.config import Settings
from service.sandbox.faults import Hang
from tests.bench.methods import GET, PLATFORMS, request
from tests.bench.processes import Server, started
from tests.bench.seed import Owner, plant, settings
from tests.bluesky import SandboxBluesky
from tests.http.edge import Wire
from tests.running import Running
from tests.watcher import DEADLINE, Watcher

from .keys import _forged
from .row import Figure, Ground, share
from .watched import BYTE_BY_BYTE, Held

LIMIT = 200
"""Calls a second of the key that is flooded with."""
MOST_CALLS, MOST_STREAMS = 20, 5
BEYOND = 10_000
UNKNOWN = 30_000
HUGE = 1_000
IDLE, HALF_OPEN = 1_000, 1_000
ROUNDS, CALLS = 8, 400
AT_ONCE = 50
CALM_SECONDS = 0.4
MOST_BYTES = 100
"""That a call which was refused may leave behind."""
BESIDE = 1_000_000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
ENDLESS = b"\0\0\x04\x01\0\0\0\0\x01\x82\x86\x84\x41"
"""A frame of headers that says that there are more to come."""
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
ON_GRPC = (b"", HELLO, PREFACE, PREFACE + SETTINGS, PREFACE + SETTINGS + ENDLESS)
_HEAD = b"POST /profiles/connect HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n"
ON_HTTP = (b"", b"G", _HEAD, _HEAD + b"\r\n{")


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    figures = await _capped(ground)
    read = settings(
        ground.folder,
        f"sqlite:///{ground.folder / 'postcore.db'}",
        {"CALLS_PER_SECOND": str(LIMIT)},
    )
    owners = await plant(read, 12, 50)
    socket = str(ground.folder / "held")
    module = ("tests.attack.watched", socket, "serve")
    async with started(module, read, "", ground.folder / "log", BYTE_BY_BYTE) as server:
        ground.say("beyond the limit of a key")
        figures += await _limited(server, owners)
        for what, calls, flood in (
            ("calls beyond the limit of a key", BEYOND, _beyond(server, owners[0].keys[0])),
            ("calls with ids that there are not", UNKNOWN, _unknown(server)),
            ("calls with 1 MiB of a message or 64 KiB of metadata", HUGE, _huge(server, owners)),
        ):
            ground.say(what)
            figures.append(await _flat(what, share(calls, part), flood, socket, part))
    ground.say("slow ones")
    return [*figures, *await _beside_slow_ones(ground, read, owners, part)]


async def _capped(ground: Ground) -> list[Figure]:
    """More calls at once than there may be, all of which wait for a server that hangs."""
    async with SandboxBluesky.started() as sandbox:
        folder = ground.folder / "capped"
        folder.mkdir()
        limits = {"MAX_CONCURRENT_CALLS": str(MOST_CALLS), "MAX_STREAMS": str(MOST_STREAMS)}
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
                for _ in range(4 * (MOST_CALLS + MOST_STREAMS))
            ]
            most = MOST_CALLS + MOST_STREAMS
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
            f"{len(calls)} calls at once that hang, where {most} may be under way",
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
    """A key asks as fast as it can, for a second and longer; another is not held up by it."""
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
            f"{codes.total()} calls of one key in {took:.1f} s, where {LIMIT} a second may be made",
            f"{passed} let through, {most:.0f} at most; "
            f"{others.count(grpc.StatusCode.OK)} of 20 of another key of the tenant",
            # all that is due comes through, but for what was due in its last moments
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
    """What is in use after the first half and after the second: caches are full by the first."""
    await flood(count // 2)
    await asyncio.sleep(1)
    before = await Held.by(socket)
    await flood(count // 2)
    await asyncio.sleep(1)
    grown = (await Held.by(socket)).bytes - before.bytes
    # in a part, caches are still being filled up to their bounds
    most = max(MOST_BYTES * count // 2, BESIDE)
    return Figure(
        f"{count} {what}: bytes in use after the second half and after the first",
        f"{grown / 1e6:+.2f} MB of {before.bytes / 1e6:.0f} MB",
        grown <= (most if part == 1 else 2 * BESIDE),
    )


async def _beside_slow_ones(
    ground: Ground, read: Settings, owners: Sequence[Owner], part: float
) -> list[Figure]:
    """In turns: calls alone, and calls beside those who hold what they can and do nothing."""
    rounds, calls = max(2, share(ROUNDS, part)), max(100, share(CALLS, part))
    idle = max(100, share(IDLE, part))
    unlimited = read.model_copy(update={"calls_per_second": 1_000_000})
    figures = []
    async with started(("service", "serve"), unlimited, "", ground.folder / "log") as server:
        for what, crowd in (
            (f"{idle} idle watches", _watching(server, owners, idle)),
            (f"{idle} half-open connections, gRPC", _half_open(server.address, ON_GRPC, idle)),
            (f"{idle} half-open connections, HTTP", _half_open(server.http, ON_HTTP, idle)),
            (f"{idle // 50} readers of HTTP who take nothing", _unread(server, owners, idle // 50)),
        ):
            ground.say(what)
            alone: list[float] = []
            beside: list[float] = []
            before = server.memory
            for _ in range(rounds):
                alone += await _calls(server, owners, calls)
                async with crowd():
                    await _calm(server)
                    beside += await _calls(server, owners, calls)
            usual, slower = (quantiles(sample, n=100)[98] for sample in (alone, beside))
            grown = server.memory - before
            figures.append(
                Figure(
                    f"{what}: 99 of 100 calls of others, {rounds} rounds with and without",
                    f"{1000 * slower:.1f} ms beside {1000 * usual:.1f} ms without them, "
                    f"{grown:+.0f} MiB in the end",
                    # in a part the slowest of few calls are a matter of what else runs here
                    slower < 2 * usual + (0.001 if part == 1 else 0.05) and grown < 100,
                )
            )
    return figures


async def _calm(server: Server) -> None:
    """Until the server has done what it was asked for: now those who asked are idle."""
    async with asyncio.timeout(DEADLINE):
        before, now = -1.0, server.busy
        while now - before > CALM_SECONDS / 4:
            await asyncio.sleep(CALM_SECONDS)
            before, now = now, server.busy


async def _calls(server: Server, owners: Sequence[Owner], count: int) -> list[float]:
    """The seconds that calls take over gRPC and HTTP, one after the other."""
    chance, taken = Random(1), []
    async with (
        grpc.aio.insecure_channel(server.address) as channel,
        Wire.to(server.http) as wire,
    ):
        raw: Any = channel.unary_unary(GET)
        for number in range(count + 10):
            owner = owners[-1]
            profile, key = chance.choice(list(owner.tokens)), owner.keys[0]
            began = perf_counter()
            if number % 2:
                encoded = request(GET, profile).SerializeToString()
                await raw(encoded, metadata=(("x-api-key", key),), timeout=DEADLINE)
            else:
                await wire.send(
                    f"GET /profiles/{profile} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n"
                )
                assert (await wire.answer())[0] == 200
            if number >= 10:  # the first ones open connections
                taken.append(perf_counter() - began)
    return taken


def _watching(server: Server, owners: Sequence[Owner], count: int) -> Any:
    @asynccontextmanager
    async def crowd() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            watchers = []
            for number in range(10):
                channel = grpc.aio.insecure_channel(
                    server.address, [("grpc.use_local_subchannel_pool", 1)]
                )
                await stack.enter_async_context(channel)
                owner = owners[number]
                service = Running(Settings.read({}), server.address, channel, api_key=owner.keys[0])
                watchers += [Watcher(service) for _ in range(count // 10)]
            await asyncio.gather(*(watcher.message() for watcher in watchers))
            yield
            for watcher in watchers:
                watcher.call.cancel()

    return crowd


def _half_open(address: str, halves: Sequence[bytes], count: int) -> Any:
    @asynccontextmanager
    async def crowd() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for _, half in zip(range(count), cycle(halves), strict=False):
                wire = await stack.enter_async_context(Wire.to(address))
                wire.writer.write(half)
            yield

    return crowd


def _unread(server: Server, owners: Sequence[Owner], count: int) -> Any:
    """Over HTTP: page after page is asked for, and none is taken."""

    @asynccontextmanager
    async def crowd() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for number in range(count):
                wire = await stack.enter_async_context(Wire.to(server.http))
                transport: Any = wire.writer.transport
                transport.pause_reading()
                key = owners[number % 10].keys[0]
                ask = f"GET /profiles HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n"
                wire.writer.write(ask.encode() * 200)
            yield

    return crowd
