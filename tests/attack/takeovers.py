"""Takeovers: account servers of a storm, and attacks on an account's name, document, address or
host."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import httpcore

from service.platforms.egress import pool
from tests.figures.bluesky_storm import Site, Storm
from tests.figures.storm import CLOSE
from tests.platforms.bluesky_login import OTHER_DID, jwt, xrpc
from tests.platforms.dns_server import DnsServer, text
from tests.platforms.internet import WEB, document
from tests.platforms.raw import Answer, RawServer, Request, respond
from tests.platforms.web import Authority
from tests.support.bluesky import some_password

EVIL, IMPOSTOR = "93.184.216.66", "93.184.216.67"
"""Public addresses: the attacker's own, and one whose server has no trusted certificate."""
PRIVATE = "10.1.2.3"
EVIL_HOST = "pds.evil.example.com"
PART = 9
"""The number of consecutive characters that identify a secret."""
MALLORY = some_password()
"""The attacker's own app password."""


@dataclass
class Home(Site):
    """An account that is taken over.

    *own_server*: its server is one of Bluesky's own. *web*: its DID is a did:web. *dead*: its
    session has ended, so that only the password is usable.
    """

    own_server: bool = False
    web: bool = False
    dead: bool = False
    endpoint: str = ""
    document_at: str = WEB
    redirects: int = 0
    answers_as: str = ""
    tenant_id: str = ""
    keys: tuple[str, str] = field(default=("", ""), repr=False)
    profile_key: str = ""

    @property
    def host(self) -> str:
        return f"m{self.number}.host.bsky.network" if self.own_server else super().host

    @property
    def did(self) -> str:
        return f"did:web:{self.web_host}" if self.web else super().did

    @property
    def web_host(self) -> str:
        return f"id-{self.number}.example.com"


class Attacker(RawServer):
    """A server that accepts every login as the named account, and records all requests."""

    storm: "Stolen"

    def _answer(self, request: Request) -> Answer:
        if request.path == "/.well-known/did.json":
            return self.storm.document_of_web(request.host)
        method = request.path.rpartition(".")[2]
        if method in ("createSession", "refreshSession"):
            did = self.storm.named_in(request)
            session = {"accessJwt": "evil.access.jwt", "refreshJwt": "evil.refresh.jwt", "did": did}
            return respond({**session, "handle": "x.example.com", "active": True}, 200, **CLOSE)
        if method == "getRepoStatus":
            return respond({"did": request.target.rpartition("=")[2], "active": True}, 200, **CLOSE)
        return respond({}, 200, **CLOSE)

    def brought(self, secret_of: Mapping[str, str]) -> Counter[str]:
        """Count, by owner in *secret_of*, the requests that held a part of a secret."""
        of_part = {part: whose for secret, whose in secret_of.items() for part in _parts(secret)}
        found: Counter[str] = Counter()
        for request in self.requests:
            heap = f"{request.target} {request.headers} {request.body.decode('latin-1')}"
            parts = (heap[at : at + PART] for at in range(len(heap)))
            found.update({of_part[part] for part in parts if part in of_part})
        return found


def _parts(secret: str) -> Iterator[str]:
    """Yield the characteristic parts; of a token, not the claims that all tokens share."""
    start = secret.rfind(".") + 1
    yield from (secret[at : at + PART] for at in range(start, len(secret) - PART + 1))


class Stolen(Storm):
    """*attackers*: the servers that must receive no owner's secret."""

    attackers: tuple[Attacker, Attacker]

    def __init__(self, names: DnsServer, authority: Authority, count: int) -> None:
        super().__init__(names, authority, 0)
        self._taken: dict[str, str] = {}
        self.homes = [Home(number) for number in range(count)]

    def enter(self, home: Home) -> None:
        """Add an account in its state before the takeover."""
        home.endpoint = f"https://{home.host}"
        self.sites[home.host] = home
        self._by_did[home.did] = home
        self._dns.say(f"_atproto.{home.handle}", "TXT", text(f"did={home.did}"))
        self._dns.say(home.host, "A", WEB)
        self._dns.say(home.web_host, "A", WEB)

    def point(self, host: str, address: str) -> None:
        self._dns.say(host, "A", address)

    def take_handle(self, home: Home) -> None:
        """Point its name to another DID, whose document names it back."""
        other = Home(home.number + 5000, endpoint=f"https://{EVIL_HOST}")
        self._by_did[other.did] = other
        self._taken[other.did] = home.handle
        self._dns.say(f"_atproto.{home.handle}", "TXT", text(f"did={other.did}"))

    def answer(self, request: Request) -> Answer:
        if request.path == "/.well-known/did.json":
            return self.document_of_web(request.host)
        home = cast("Home", self.sites[request.host])
        method = request.path.rpartition(".")[2]
        if home.redirects:
            there = f"https://{EVIL_HOST}{request.target}"
            return respond(b"", home.redirects, location=there, **CLOSE)
        if home.answers_as and method in ("createSession", "refreshSession"):
            session = {"accessJwt": "other.access.jwt", "refreshJwt": "other.refresh.jwt"}
            reply = {
                **session,
                "did": home.answers_as,
                "handle": home.handle,
                "active": True,
            }
            return respond(reply, 200, **CLOSE)
        if home.dead and method == "refreshSession":
            return xrpc(400, "ExpiredToken", **CLOSE)
        return super().answer(request)

    def _session(self, site: Site) -> Answer:
        access, refresh = (
            jwt({"scope": f"com.atproto.{scope}", "exp": 4_000_000_000}, secrets.token_hex(16))
            for scope in ("appPass", "refresh")
        )
        site.tokens += [access, refresh]
        session = {"accessJwt": access, "refreshJwt": refresh, "did": site.did}
        return respond({**session, "handle": site.handle, "active": True}, 200, **CLOSE)

    def answer_of_directory(self, request: Request) -> Answer:
        home = cast("Home", self._by_did[request.path.split("/")[1]])
        handle = self._taken.get(home.did, home.handle)
        return respond(document(home.did, handle, home.endpoint), 200, **CLOSE)

    def document_of_web(self, host: str) -> Answer:
        [home] = [one for one in self.homes if one.web_host == host]
        return respond(document(home.did, home.handle, home.endpoint), 200, **CLOSE)

    def named_in(self, request: Request) -> str:
        """Return the DID that a login names; for a refresh, any DID."""
        dids = [home.did for home in self.homes] + list(self._taken)
        return next((did for did in dids if did.encode() in request.body), OTHER_DID)

    async def _dial(self, address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        evil, impostor = self.attackers
        there = {EVIL: evil, IMPOSTOR: impostor}.get(address)
        if there is None:
            return await super()._dial(address, port, seconds)
        return await pool.dial("127.0.0.1", there.port, seconds)


Take = Callable[[Stolen, Home], None]


@dataclass(frozen=True)
class Takeover:
    """A takeover, and the kind of account that it needs."""

    name: str
    take: Take
    own_server: bool = False
    web: bool = False


def _names(endpoint: str) -> Take:
    def take(storm: Stolen, home: Home) -> None:
        storm.point(endpoint.partition("://")[2], EVIL)
        home.endpoint = endpoint

    return take


def _at(address: str) -> Take:
    return lambda storm, home: storm.point(home.host, address)


def _redirects(status: int) -> Take:
    def take(_: Stolen, home: Home) -> None:
        home.redirects = status

    return take


def _is_another(_: Stolen, home: Home) -> None:
    home.answers_as = OTHER_DID


def _reregistered(storm: Stolen, home: Home) -> None:
    storm.point(home.web_host, EVIL)
    home.endpoint = f"https://{EVIL_HOST}"


def _everything(storm: Stolen, home: Home) -> None:
    """Take the handle's name and the document, and redirect from a colluding server."""
    _names(f"https://{EVIL_HOST}")(storm, home)
    home.redirects = 307


LOOKALIKE_ORIGINS = (
    "https://host.bsky.network.evil.example.com",
    "https://bsky.social.evil.example.com",
    "https://evil-host.bsky.network",
    "https://xbsky.social",
    "https://bsky.network",
)
TAKEOVERS = (
    Takeover("the document names another origin", _names(f"https://{EVIL_HOST}")),
    *(
        Takeover("it names one that resembles Bluesky's own", _names(one), own_server=True)
        for one in LOOKALIKE_ORIGINS
    ),
    Takeover("a did:web's host is registered again", _reregistered, web=True),
    Takeover("the handle leads to another DID", Stolen.take_handle),
    Takeover("the origin's DNS answers another's address", _at(IMPOSTOR)),
    Takeover("the origin's DNS answers another's address", _at(PRIVATE)),
    Takeover("another DID answers", _is_another),
    *(Takeover("it redirects", _redirects(status)) for status in (301, 302, 307, 308)),
    Takeover("it redirects, and the document is stolen too", _everything),
)
