"""Wire: any bytes at the HTTP port get a well-formed answer or a closed connection."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.transport.http import connection as http_connection
from service.transport.status import STATUS

from .json_texts import json_texts
from .running_service import served
from .target import Read, Target

KEY = b"<key>"
HEALTH = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
CREATE = b"POST /profiles/create HTTP/1.1\r\nhost: a\r\nx-api-key: <key>\r\n"
REASONS = {status.name: status.http for status in STATUS.values()}
TIMEOUT_SECONDS = 60.0
OPEN_SECONDS = 0.2


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    with served(folder) as (runner, service, key), pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_connection, "LINGER_SECONDS", OPEN_SECONDS)
        host, _, port = service.http.rpartition(":")

        async def sent(data: bytes, seconds: float) -> bytes:
            """Return the answers to *data* until the server closes the connection.

            Only an incomplete request may stay open until *seconds* are over; a request to close
            ends it.
            """
            patch.setattr(http_connection, "READ_SECONDS", seconds)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(host, int(port))
                try:
                    writer.write(data)
                    return await reader.read()
                except ConnectionError:
                    return b""
                finally:
                    writer.transport.abort()

        def read(data: bytes) -> None:
            data = data.replace(KEY, key.encode())
            for status, body in answers(runner.run(sent(data + HEALTH, OPEN_SECONDS))):
                if status >= 400 and body:
                    error = json.loads(body)
                    assert error.keys() <= {"error", "message", "retry_after"}
                    assert REASONS[error["error"]] == status
                    assert error["error"] != "INTERNAL"
            [(status, body)] = answers(runner.run(sent(HEALTH, TIMEOUT_SECONDS)))
            assert (status, body) == (200, b'{"status":"SERVING"}')

        yield read


def answers(sent: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield status and body of each answer; the last one may be cut off."""
    while sent:
        head, found, sent = sent.partition(b"\r\n\r\n")
        if not found:
            return
        line, *lines = head.split(b"\r\n")
        version, status, *_ = line.split(b" ")
        assert version == b"HTTP/1.1"
        headers = dict(header.split(b": ", 1) for header in lines)
        length = int(headers.get(b"content-length", b"0"))
        # the answer to HEAD has no body
        bare = length and (not sent or sent.startswith(b"HTTP/1.1 "))
        body, sent = (b"", sent) if bare else (sent[:length], sent[length:])
        if len(body) < length and not bare:
            return
        if int(status) >= 200:
            assert headers[b"cache-control"] == b"no-store"
            yield int(status), body


TARGET = Target(
    opened,
    (
        HEALTH,
        HEALTH + HEALTH,
        CREATE + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        CREATE + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"GET /profiles?pageSize=1&pageToken=a HTTP/1.1\r\nhost: a\r\nx-api-key: <key>\r\n\r\n",
        b"HEAD /docs HTTP/1.1\r\nhost: a\r\n\r\nOPTIONS /profiles HTTP/1.1\r\nhost: a\r\n\r\n",
        b"DELETE /profiles/prof_a HTTP/1.1\r\nhost: a\r\nx-api-key: <key>\r\n\r\n",
    ),
)

VERBS = st.sampled_from(
    [b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PUT", b"get", b"CONNECT", b"PRI", b""]
)
PATHS = st.sampled_from(
    [
        b"/",
        b"*",
        b"/profiles",
        b"/profiles/connect",
        b"/profiles/create",
        b"/profiles/prof_a",
        b"/profiles?pageSize=1&pageSize=2",
        b"/profiles?pageToken=%ff",
        b"/profiles/%2e%2e/%00",
        b"/profiles?needsReconnectOnly=1",
        b"/profiles?pageSize=99999999999",
        b"/health?" + b"a" * 99,
        b"/profiles/a/platforms/%2F",
        b"/profiles/prof_a/platforms/b/verify",
        b"http://a/health",
        b"/docs/../health",
        b"//health",
        b"/openapi.json",
        b"/health#a",
        b"/platforms",
        b"\xff",
    ]
)
HEADERS = st.lists(
    st.sampled_from(
        [
            b"host: a",
            b"host: b",
            b"x-api-key: <key>",
            b"x-api-key: <key>",
            b"x-api-key: x",
            b"content-type: application/json",
            b"content-type: text/plain",
            b"content-length: 2",
            b"content-length: 0",
            b"content-length: 99999999999999999999",
            b"content-length: 2, 2",
            b"transfer-encoding: chunked",
            b"transfer-encoding: gzip, chunked",
            b"expect: 100-continue",
            b"connection: close",
            b"connection: upgrade",
            b"upgrade: h2c",
            b"content-encoding: gzip",
            b"idempotency-key: a",
            b"idempotency-key:",
            b"x-request-id: \xff",
            b" folded",
            b"a: " + b"x" * 6000,
            b": empty",
            b"range: bytes=0-1",
            b"origin: https://a.example",
            b"content-length: -0",
        ]
    ),
    max_size=6,
).map(b"\r\n".join)
BODIES = (
    json_texts(("platform", "credentials", "handle", "profileName", "idempotencyKey"), ("bluesky",))
    | st.sampled_from(
        [b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"0\r\na: b\r\n\r\n"]
    )
    | st.binary(max_size=40)
)
REQUESTS = st.tuples(
    VERBS, PATHS, st.sampled_from([b"1.1", b"1.0", b"2.0", b"9"]), HEADERS, BODIES
).map(lambda parts: b"%s %s HTTP/%s\r\n%s\r\n\r\n%s" % parts)


@settings(deadline=None, max_examples=150)
@given(st.lists(REQUESTS, min_size=1, max_size=3).map(b"".join) | st.binary())
@example(CREATE + b"content-type: application/json\r\ncontent-length: 5000\r\n\r\n" + b"[" * 5000)
def test_any_bytes(read: Read, data: bytes) -> None:
    """Each answer has the documented shape, or the connection closes; the next caller is served."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
