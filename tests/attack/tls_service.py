"""`postcore serve` with TLS on both ports, and calls on new connections."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography import x509

from tests.bench.processes import started
from tests.bench.seed import settings
from tests.support.authority import Authority
from tests.transport.test_tls import health, shown_by

from .row import Ground

SECONDS = 20.0
Shown = tuple[Path, Path] | None


@dataclass(frozen=True)
class Ports:
    """The addresses where it takes calls: HOST:PORT."""

    grpc: str
    http: str


class Wire:
    """A service with TLS on both ports, which logs to a file."""

    def __init__(self, authority: Authority, at: Ports, log: Path) -> None:
        self.authority = authority
        self.at = at
        self._log = log

    def logged(self, event: str) -> int:
        """Count the log lines with that event."""
        return sum(
            json.loads(line).get("event") == event for line in self._log.read_text().splitlines()
        )

    async def over_grpc(self, shown: Shown) -> bool:
        """Return whether a call on a new connection is answered."""
        return await health(self.at.grpc, self.authority.root, shown) == "SERVING"

    async def over_http(self, shown: Shown) -> bool:
        context = ssl.create_default_context(cadata=self.authority.root.decode())
        if shown:
            context.load_cert_chain(*shown)
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=SECONDS) as client:
            try:
                answer = await client.get(f"https://{self.at.http}/health")
            except httpx.TransportError:
                return False
        return answer.status_code == 200


@asynccontextmanager
async def wired(
    ground: Ground, authority: Authority, callers: Path | None = None
) -> AsyncIterator[Wire]:
    """Run the service; *callers* is the file of authorities for client certificates."""
    cert, key = authority.issue("server")
    more = {"TLS_CERT_FILE": str(cert), "TLS_KEY_FILE": str(key)}
    if callers:
        more["TLS_CLIENT_CA_FILE"] = str(callers)
    url = f"sqlite:///{ground.folder / 'postcore.db'}"
    read, log = settings(ground.folder, url, more), ground.folder / "wired.log"
    log.touch()
    async with started(("service", "serve"), read, "", log) as server:
        yield Wire(authority, Ports(server.address, server.http), log)


async def is_shown(wire: Wire, certificate: x509.Certificate, shown: Shown = None) -> bool:
    """Return whether new connections on both ports get that certificate."""
    context = ssl.create_default_context(cadata=wire.authority.root.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    if shown:
        context.load_cert_chain(*shown)
    found = [await shown_by(address, context) for address in (wire.at.grpc, wire.at.http)]
    return all(x509.load_der_x509_certificate(der or b"") == certificate for der in found)
