"""Chunked bodies: their framing and its limits."""

import pytest

from tests.support import sharing
from tests.transport.http.edge import Edge, Wire

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

KIB = 1024
BODY = b'{"profileName": "one"}'
END = b"0\r\n\r\n"
MALFORMED = "The request is not HTTP/1.1, or has a head of more than 16 KiB or 100 headers"
TOO_MUCH = "The request has a body of more than 128 KiB, chunk sizes included"
TOO_MANY = "The request has a body of more than 1024 chunks"


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def create(key: str, body: bytes) -> bytes:
    head = (
        f"POST /profiles/create HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head.encode() + body


REFUSED = {
    "no size": (b"zz\r\n", MALFORMED),
    "a negative size": (b"-1\r\n{}\r\n" + END, MALFORMED),
    "a size with 0x": (b"0x2\r\n{}\r\n" + END, MALFORMED),
    "a size of many digits": (b"0" * 600 + b"2\r\n{}\r\n" + END, MALFORMED),
    "a size without end": (b"1" * KIB, MALFORMED),
    "no line end after a chunk": (b"2\r\n{}xx" + END, MALFORMED),
    "bare LF after a size": (b"2\n{}\r\n" + END, MALFORMED),
    "bare LF after a chunk": (b"2\r\n{}\n" + END, MALFORMED),
    "bare LF at the end": (chunk(BODY) + b"0\r\n\n" + b"x" * KIB, MALFORMED),
    "bare LF after the last size": (chunk(BODY) + b"0\n\n" + b"x" * KIB, MALFORMED),
    "an extension without end": (b"2;" + b"x" * KIB, MALFORMED),
    "trailers": (chunk(BODY) + b"0\r\na: b\r\n\r\n", MALFORMED),
    "trailers without end": (b"0\r\n" + b"a:\r\n" * KIB, MALFORMED),
    "1025 chunks": (chunk(b" ") * 1024 + chunk(BODY) + END, TOO_MANY),
    "chunks of one byte without end": (chunk(b" ") * 50_000, TOO_MANY),
    "more frame than body": (chunk(b" " * 50, b";" + b"x" * 300) * 400, TOO_MUCH),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_malformed_chunks_are_rejected(edge: Edge, name: str) -> None:
    """Callers with a key get a reason. The connection is closed, and the rest is not parsed."""
    sent, said = REFUSED[name]
    async with Wire.to(edge.service.http) as wire:
        await wire.send(create(edge.service.api_key, sent))
        answer = await wire.rest()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(f'"message":"{said}"}}'.encode())
    assert edge.service.rows("SELECT * FROM profiles") == []


@pytest.mark.parametrize("name", REFUSED)
async def test_the_key_is_checked_before_the_framing(edge: Edge, name: str) -> None:
    """A caller without a valid key learns nothing else."""
    async with Wire.to(edge.service.http) as wire:
        await wire.send(create("x", REFUSED[name][0]))
        answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 401")


GOOD = {
    "one": chunk(BODY),
    "one a byte": b"".join(chunk(BODY[place : place + 1]) for place in range(len(BODY))),
    "1024": chunk(b" ") * 1023 + chunk(BODY),
    "a size in capitals, with zeros": b"000016\r\n" + BODY + b"\r\n",
    "extensions": chunk(BODY[:9], b";a=b") + chunk(BODY[9:], b';c="d"'),
    "64 KiB": chunk(BODY) + chunk(b" " * (64 * KIB - len(BODY))),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("pieces", [100_000, 13])
async def test_chunks_are_accepted(edge: Edge, name: str, pieces: int) -> None:
    """They may arrive in any pieces. The next request on the connection is answered, too."""
    follows = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
    sent = create(edge.service.api_key, GOOD[name] + END) + follows
    async with Wire.to(edge.service.http) as wire:
        for start in range(0, len(sent), pieces):
            wire.writer.write(sent[start : start + pieces])
            if start < 100 * pieces:
                await wire.writer.drain()
        assert (await wire.answer())[0] == 201
        assert (await wire.answer())[0] == 200
