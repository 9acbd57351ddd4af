"""Slow clients: hold every resource they can, do nothing, and measure other calls beside them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from random import Random
from statistics import quantiles
from time import perf_counter
from typing import Any

import grpc.aio

from service.settings import Settings
from tests.bench.methods import GET, request
from tests.bench.processes import Server, started
from tests.bench.seed import Owner
from tests.support.running import Running
from tests.support.watcher import DEADLINE, Watcher
from tests.transport.http.edge import Wire

from .row import Figure, Ground, share

IDLE = 1_000
ROUNDS, CALLS = 8, 400
CALM_SECONDS = 0.4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
ENDLESS = b"\0\0\x04\x01\0\0\0\0\x01\x82\x86\x84\x41"
"""A HEADERS frame that announces more to come."""
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
ON_GRPC = (b"", HELLO, PREFACE, PREFACE + SETTINGS, PREFACE + SETTINGS + ENDLESS)
_HEAD = b"POST /profiles/connect HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n"
ON_HTTP = (b"", b"G", _HEAD, _HEAD + b"\r\n{")


async def beside_slow_ones(
    ground: Ground, read: Settings, owners: Sequence[Owner], part: float
) -> list[Figure]:
    """Alternate rounds of calls alone and calls beside slow clients."""
    rounds, calls = max(2, share(ROUNDS, part)), max(100, share(CALLS, part))
    idle = max(100, share(IDLE, part))
    unlimited = read.model_copy(update={"calls_per_second": 1_000_000})
    figures = []
    async with started(("service", "serve"), unlimited, "", ground.folder / "log") as server:
        for what, crowd in (
            (f"{idle} idle watches", _watching(server, owners, idle)),
            (f"{idle} half-open connections, gRPC", _half_open(server.address, ON_GRPC, idle)),
            (f"{idle} half-open connections, HTTP", _half_open(server.http, ON_HTTP, idle)),
            (
                f"{idle // 100} readers of HTTP who take nothing",
                _unread(server, owners, idle // 100),
            ),
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
                    # in a partial run, the slowest of few calls depend on the machine's other work
                    slower < 2 * usual + (0.001 if part == 1 else 0.05) and grown < 100,
                )
            )
    return figures


async def _calm(server: Server) -> None:
    """Wait until the server has finished its work; all clients are idle by then."""
    async with asyncio.timeout(2 * DEADLINE):
        before, now = -1.0, server.busy
        while now - before > CALM_SECONDS / 20:
            await asyncio.sleep(CALM_SECONDS)
            before, now = now, server.busy


async def _calls(server: Server, owners: Sequence[Owner], count: int) -> list[float]:
    """Return the seconds of *count* sequential calls over gRPC and HTTP."""
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
            if number >= 10:  # the first calls open connections
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
    """Request page after page over HTTP and read none."""

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
