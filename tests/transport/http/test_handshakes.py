"""TLS on the HTTP edge: handshakes, new certificates and closing, in the process as it ships."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import pytest

from service.transport.http.accept import HANDSHAKE_TIMEOUT_SECONDS
from tests.cli.home import Home, Started
from tests.support.authority import Authority
from tests.transport.http.edge import LONG, Wire

pytestmark = pytest.mark.process

LIMIT = 10
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ASK = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
UNREAD = b"POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.root.decode())


@pytest.fixture
def server(home: Home, authority: Authority) -> Iterator[Started]:
    """`postcore serve` with TLS, and at most LIMIT HTTP connections."""
    cert, key = authority.issue("server")
    with home.serve(
        TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key), MAX_HTTP_CONNECTIONS=str(LIMIT)
    ) as server:
        yield server
        assert "library" not in server.errors
        assert "connection failed" not in server.errors


def place(server: Started) -> tuple[str, int]:
    host, _, port = server.http.rpartition(":")
    return host, int(port)


def ask(
    server: Started,
    trusting: ssl.SSLContext,
    sent: bytes = ASK,
    session: ssl.SSLSession | None = None,
) -> tuple[bytes, ssl.SSLSession | None, bool]:
    """Return the response to *sent* on a new connection, the session, and if it was resumed."""
    raw = socket.create_connection(place(server), LONG)
    with trusting.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as tls:
        tls.sendall(sent)
        answer = b""
        while part := tls.recv(65536):
            answer += part
        return answer, tls.session, bool(tls.session_reused)


async def health(server: Started, trusting: ssl.SSLContext) -> int:
    async with httpx.AsyncClient(verify=trusting, trust_env=False, timeout=LONG) as client:
        return (await client.get(f"https://{server.http}/health")).status_code


@pytest.mark.quick
@pytest.mark.parametrize("version", VERSIONS)
def test_each_new_connection_is_answered(
    server: Started, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """Each of 100 takes less time than a handshake may, and ends with an orderly close."""
    trusting.minimum_version = trusting.maximum_version = version
    for _ in range(100):
        started = time.monotonic()
        answer, *_ = ask(server, trusting)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"status":"SERVING"}')
        assert time.monotonic() - started < HANDSHAKE_TIMEOUT_SECONDS / 2


@pytest.mark.parametrize("version", VERSIONS)
def test_an_error_arrives_while_the_body_is_sent(
    server: Started, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """Closing the connection does not discard it."""
    trusting.minimum_version = trusting.maximum_version = version
    answer, *_ = ask(server, trusting, UNREAD + b"x" * 200_000)
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(b"}")


def test_a_large_response_arrives_completely(server: Started, trusting: ssl.SSLContext) -> None:
    """The client reads slowly, and the connection is closed after the response."""
    raw = socket.create_connection(place(server), LONG)
    asked = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n"
    with trusting.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
        tls.sendall((asked + b"\r\n") * 99 + asked + b"connection: close\r\n\r\n")
        answer = b""
        while part := tls.recv(8192):
            answer += part
            time.sleep(0.001)
    assert answer.count(b"HTTP/1.1 200 OK") == 100
    assert answer.endswith(b"}")


async def test_the_oldest_handshake_is_closed_at_the_limit(
    server: Started, trusting: ssl.SSLContext
) -> None:
    """It is closed at once, and calls succeed."""
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(Wire.to(server.http)) for _ in range(8 * LIMIT)]
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_SECONDS / 2):
            for wire in silent[: 7 * LIMIT]:
                assert await wire.rest() == b""
        for _ in range(3):
            assert await health(server, trusting) == 200
        assert not silent[-1].reader.at_eof()


async def test_a_slow_handshake_times_out(server: Started, trusting: ssl.SSLContext) -> None:
    """The client sends nothing, half of it, all but the last byte, or a byte now and then. Others
    are served."""
    tls = trusting.wrap_bio(ssl.MemoryBIO(), hello := ssl.MemoryBIO(), server_hostname="a")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    greeting = hello.read()

    async def closed_after(sent: bytes, drip: bool = False) -> float:
        async with Wire.to(server.http) as wire:
            started = time.monotonic()
            await wire.send(sent)
            end = asyncio.create_task(wire.rest())
            for byte in greeting[: 100 if drip else 0]:
                await asyncio.wait([end], timeout=0.3)
                if end.done():
                    break
                wire.writer.write(bytes([byte]))
            await end
            return time.monotonic() - started

    slow = [closed_after(sent) for sent in (b"", greeting[:1], greeting[:100], greeting)]
    task = asyncio.gather(*slow, closed_after(b"", drip=True))
    while not task.done():
        assert await health(server, trusting) == 200
        await asyncio.sleep(0.5)
    for seconds in await task:
        assert HANDSHAKE_TIMEOUT_SECONDS - 1 < seconds < HANDSHAKE_TIMEOUT_SECONDS + 5


async def test_failed_handshakes_are_closed(server: Started, trusting: ssl.SSLContext) -> None:
    """The client sends plain HTTP, or trusts another root."""
    async with Wire.to(server.http) as wire:
        await wire.send(ASK)
        assert b"HTTP" not in await wire.rest()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            *place(server), ssl=ssl.create_default_context(), server_hostname="127.0.0.1"
        )
    assert await health(server, trusting) == 200


async def test_a_request_may_arrive_with_the_end_of_the_handshake(
    server: Started, trusting: ssl.SSLContext
) -> None:
    """No byte of it is lost."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    async with Wire.to(server.http) as wire, asyncio.timeout(LONG):
        agreed = False
        while not agreed:
            try:
                tls.do_handshake()
                agreed = True
                tls.write(ASK)
            except ssl.SSLWantReadError:
                pass
            await wire.send(outgoing.read())
            if not agreed:
                incoming.write(await wire.reader.read(65536))
        answer = b""
        while not answer.endswith(b"}"):
            incoming.write(await wire.reader.read(65536))
            with suppress(ssl.SSLWantReadError):
                answer += tls.read(65536)
    assert answer.startswith(b"HTTP/1.1 200")


async def test_stopping_does_not_wait_for_handshakes(server: Started) -> None:
    """A handshake is not a call."""
    async with Wire.to(server.http) as wire:
        await wire.send(b"\x16")
        started = time.monotonic()
        server.process.terminate()
        assert await wire.rest() == b""
        assert await asyncio.to_thread(server.process.wait, LONG) == 0
        assert time.monotonic() - started < HANDSHAKE_TIMEOUT_SECONDS / 2


@pytest.mark.parametrize("version", VERSIONS)
def test_certificates_are_replaced(
    home: Home, authority: Authority, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """The next connection gets the new certificate and needs a client certificate of the new
    authority. No earlier session is resumed."""
    cert, key = authority.issue("server")
    callers = home.folder / "callers.pem"
    callers.write_bytes(authority.root)
    anonymous = ssl.create_default_context(cadata=authority.root.decode())
    trusting.load_cert_chain(*authority.issue("caller"))
    trusting.minimum_version = trusting.maximum_version = version
    files = {"CERT": cert, "KEY": key, "CLIENT_CA": callers}
    with home.serve(**{f"TLS_{name}_FILE": str(file) for name, file in files.items()}) as server:
        answer, session, _ = ask(server, trusting)
        assert answer.startswith(b"HTTP/1.1 200")
        with suppress(OSError):  # or an end without a word, as it happens
            assert ask(server, anonymous)[0] == b""
        answer, _, is_resumed = ask(server, trusting, session=session)
        assert (answer[:12], is_resumed) == (b"HTTP/1.1 200", True)
        authority.issue("server")
        answer, session, is_resumed = ask(server, trusting, session=session)
        assert (answer[:12], is_resumed) == (b"HTTP/1.1 200", False)
        callers.write_bytes(Authority(home.folder, "another").root)
        with suppress(OSError):
            assert ask(server, trusting, session=session)[0] == b""
