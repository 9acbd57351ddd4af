"""Frames: hand-written HTTP/2, for misbehaviour that no client library allows."""

import asyncio
import struct
from collections.abc import Iterable
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(path: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """Return the header block of a call, without compression."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"a"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, length = len(value) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + value


def call(
    stream: int, path: bytes, message: bytes | None = None, more: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """Return the frames of a call on *stream*; with None, its message never arrives."""
    return frame(HEADERS, END_HEADERS, stream, block(path, more)) + data(stream, message)


def data(stream: int, message: bytes | None) -> bytes:
    """Return the frames of a call's message and end of stream; with None, nothing."""
    if message is None:
        return b""
    body = b"\0" + struct.pack(">I", len(message)) + message
    return b"".join(
        frame(
            DATA,
            END_STREAM if start + 16384 >= len(body) else 0,
            stream,
            body[start : start + 16384],
        )
        for start in range(0, len(body), 16384)
    )


class Connection:
    """One connection, which answers pings and settings and counts the bytes it receives."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.next_stream = 1
        self.ended = 0
        """Streams that the server has ended."""
        self.bytes = 0
        self.is_closed = False
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def to(cls, address: str) -> "Connection":
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(PREFACE + frame(SETTINGS, 0, 0))
        return cls(reader, writer)

    def stream(self) -> int:
        number = self.next_stream
        self.next_stream += 2
        return number

    async def send(self, raw: bytes) -> None:
        self.bytes += len(raw)
        self.writer.write(raw)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                kind, flags = head[3], head[4]
                if kind == PING and not flags & ACK:
                    self.writer.write(frame(PING, ACK, 0, payload))
                elif kind == SETTINGS and not flags & ACK:
                    self.writer.write(frame(SETTINGS, ACK, 0))
                elif kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                    self.ended += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_closed = True

    def close(self) -> None:
        self._task.cancel()
        self.writer.transport.abort()
