"""Handshakes: HTTP under TLS, and callers that never agree on it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import pytest

from service.transport import http_accept
from tests.authority import Authority
from tests.bluesky import SandboxBluesky
from tests.http.edge import LONG, Wire
from tests.running import Running, running

MOST = 5


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def service(
    sandbox: SandboxBluesky, database: Path, authority: Authority
) -> AsyncIterator[Running]:
    """Over TLS; HTTP alone is asked, since the client of gRPC is one for plain text."""
    cert, key = authority.issue("server")
    settings = {
        **sandbox.settings(),
        "TLS_CERT_FILE": str(cert),
        "TLS_KEY_FILE": str(key),
        "MAX_HTTP_CONNECTIONS": str(MOST),
    }
    async with running(database, settings) as started:
        yield started


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.root.decode())


async def test_those_that_never_end_make_room(
    service: Running, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond as many as there may be connections the oldest is closed, and calls go on."""
    monkeypatch.setattr(http_accept, "HANDSHAKE_TIMEOUT_SECONDS", 10 * LONG)  # no time ends them
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(Wire.to(service.http)) for _ in range(8 * MOST)]
        for wire in silent[: 7 * MOST]:
            assert await wire.rest() == b""
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            for _ in range(3):
                answer = await client.get(f"https://{service.http}/health", timeout=LONG)
                assert answer.status_code == 200
        assert not silent[-1].reader.at_eof()


async def test_what_is_no_handshake_is_closed(service: Running, trusting: ssl.SSLContext) -> None:
    """Plain HTTP, and a caller that trusts another root."""
    async with Wire.to(service.http) as wire:
        await wire.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"HTTP" not in await wire.rest()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            *service.http.split(":"), ssl=ssl.create_default_context(), server_hostname="127.0.0.1"
        )
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
        assert (await client.get(f"https://{service.http}/health", timeout=LONG)).status_code == 200


async def test_a_request_may_come_with_the_handshakes_end(
    service: Running, trusting: ssl.SSLContext
) -> None:
    """In one packet: nothing of it is lost."""
    host = service.http.rpartition(":")[0]
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(incoming, outgoing, server_hostname=host)
    async with Wire.to(service.http) as wire, asyncio.timeout(LONG):
        agreed = False
        while not agreed:
            try:
                tls.do_handshake()
                agreed = True
                tls.write(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            except ssl.SSLWantReadError:
                pass
            await wire.send(outgoing.read())
            if not agreed:
                incoming.write(await wire.reader.read(65536))
        incoming.write(await wire.rest())
        assert tls.read(65536).startswith(b"HTTP/1.1 200")


async def test_a_server_that_stops_waits_for_none(
    sandbox: SandboxBluesky, database: Path, authority: Authority
) -> None:
    """A handshake is no call."""
    cert, key = authority.issue("server")
    settings = {**sandbox.settings(), "TLS_CERT_FILE": str(cert), "TLS_KEY_FILE": str(key)}
    async with AsyncExitStack() as stack:
        async with running(database, settings) as service:
            wire = await stack.enter_async_context(Wire.to(service.http))
            await wire.send(b"\x16")
        assert await wire.rest() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_session_outlives_the_authority_of_callers(
    sandbox: SandboxBluesky, database: Path, authority: Authority, version: ssl.TLSVersion
) -> None:
    """It is taken up again while that stands; after another one a certificate has to be shown."""
    cert, key = authority.issue("server")
    callers = database.with_name("callers.pem")
    callers.write_bytes(authority.root)
    trusting = ssl.create_default_context(cadata=authority.root.decode())
    trusting.load_cert_chain(*authority.issue("caller"))
    trusting.minimum_version = trusting.maximum_version = version
    settings = {
        **sandbox.settings(),
        "TLS_CERT_FILE": str(cert),
        "TLS_KEY_FILE": str(key),
        "TLS_CLIENT_CA_FILE": str(callers),
    }

    def ask(
        address: str, session: ssl.SSLSession | None = None
    ) -> tuple[bytes, bool, ssl.SSLSession | None]:
        host, _, port = address.rpartition(":")
        raw = socket.create_connection((host, int(port)), LONG)
        with trusting.wrap_socket(raw, server_hostname=host, session=session) as tls:
            tls.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            return tls.recv(12), tls.session_reused or False, tls.session

    async with running(database, settings) as service:
        answer, _, session = await asyncio.to_thread(ask, service.http)
        assert answer == b"HTTP/1.1 200"
        assert (await asyncio.to_thread(ask, service.http, session))[:2] == (answer, True)
        callers.write_bytes(Authority(database.parent, "another").root)
        with suppress(OSError):  # or an end without a word, as it happens
            assert (await asyncio.to_thread(ask, service.http, session))[0] == b""
