"""Fixed egress: an EgressContext in which every server sends the same bytes."""

import httpcore

from service.domain.model import SECOND, Micros
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import NameNotFound, Resolver
from service.platforms.egress.egress import Egress
from service.platforms.egress.origin import Origin
from service.runtime.tasks import OwnedTasks

from .target import derived

HANDLE = "alice.example.com"
DID = "did:plc:aaaabbbbccccddddeeee2345"
SERVER = "https://pds.example.com"
NOW = 1_800_000_000
GOOD = {
    "id": DID,
    "alsoKnownAs": [f"at://{HANDLE}"],
    "service": [
        {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": SERVER}
    ],
}
STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 410, 429, 500, 503)


class Clock:
    def now(self) -> Micros:
        return NOW * SECOND


class Names(Resolver):
    """Resolves every name to one public address, with configurable text records."""

    texts_told: list[str] | None = None

    async def texts(self, name: str) -> list[str]:
        if self.texts_told is None:
            raise NameNotFound(name)
        return self.texts_told

    async def addresses(self, name: str) -> list[str]:
        return ["93.184.216.34"]


class Answered:
    """Every server sends *wire* as its response to any request, then closes the connection.

    Everything above httpcore is the service's own code. No TLS handshake is made.
    """

    def __init__(self) -> None:
        self.wire = b""
        self.names = Names()
        self.tasks = OwnedTasks()
        self.egress = Egress(self.names, dial=self._dial)
        # the directory and the resolver are trusted, and dialled without address checks
        self.egress._trusted = self.egress._guarded

    def outside(self, *, resolver: bool = False) -> EgressContext:
        return EgressContext(
            self.egress,
            self.names,
            Clock(),
            Origin.parse("https://plc.example.com"),
            Origin.parse("https://resolver.example.com") if resolver else None,
            frozenset(),
            self.tasks.spawn,
        )

    async def close(self) -> None:
        assert await self.tasks.drain(30) == 0
        await self.egress.close()

    async def _dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        return httpcore.AsyncMockStream([self.wire])


def wire(data: bytes, good: bytes) -> bytes:
    """Return the response that *data* encodes: raw after a 2, else built.

    A built one has the status and headers that *data* selects, and a body derived from *good*.
    """
    how, rest = data[:1], data[1:]
    if how == b"\2":
        return rest
    status, rest = STATUSES[rest[0] % len(STATUSES)] if rest else 200, rest[1:]
    head = f"HTTP/1.1 {status} Odd\r\nconnection: close\r\ncontent-type: application/json\r\n"
    headers, found, body = rest.partition(b"\0\0")
    if not found:
        headers, body = b"", rest
    return head.encode() + headers + b"\r\n" + derived(how + body, good)
