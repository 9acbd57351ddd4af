"""Bluesky's storm: account servers and a directory, which fail on order.

A check asks an account's server for a refresh, a status, a login, and the status again; each outage
begins at one of these, or at the directory. Earlier answers are normal: the session has ended, the
account is active, the password is rejected.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.platforms.bluesky_login import OTHER_DID, jwt, xrpc
from tests.platforms.dns_server import DnsServer
from tests.platforms.internet import document
from tests.platforms.raw import Answer, RawServer, Request, respond
from tests.platforms.web import Authority
from tests.support.bluesky import some_password

from . import kinds
from .kinds import Kind, page
from .storm import CLOSE, Account
from .storm import Storm as AnyStorm

REFRESH, STANDING, LOGIN, STANDING_AGAIN = range(4)
AT_SERVER = (REFRESH, STANDING, LOGIN, STANDING_AGAIN)
DIRECTORY = -1
METHODS = ("refreshSession", "getRepoStatus", "createSession", "getRepoStatus")
_SHAPES = (
    respond([], 200, **CLOSE),
    respond("null", 200, content_type="application/json", **CLOSE),
    respond({}, 200, **CLOSE),
    respond({"accessJwt": 5, "refreshJwt": [], "did": {}, "active": "no"}, 200, **CLOSE),
    respond({"did": "", "active": None, "id": 7, "service": {}}, 200, **CLOSE),
    respond('{"error": "AuthenticationRequired"', 401, content_type="application/json", **CLOSE),
)
_ANOTHER = respond(
    {
        "accessJwt": "a.b.c",
        "refreshJwt": "d.e.f",
        "did": OTHER_DID,
        "id": OTHER_DID,
        "handle": "mallory.example.com",
        "active": False,
        "status": "takendown",
    },
    200,
    **CLOSE,
)
KINDS = (
    kinds.REFUSED,
    kinds.RESET,
    kinds.HUNG,
    kinds.DRIPPED,
    Kind("429", [xrpc(429, "RateLimitExceeded", ratelimit_reset="1800000300", **CLOSE), page(429)]),
    kinds.with_status(500, xrpc(500, "InternalServerError", **CLOSE)),
    kinds.with_status(502, xrpc(502, "UpstreamFailure", **CLOSE)),
    kinds.with_status(503, xrpc(503, "NotEnoughResources", **CLOSE)),
    kinds.with_status(504, xrpc(504, "UpstreamTimeout", **CLOSE)),
    kinds.HTML,
    kinds.CAPTIVE,
    kinds.UNAUTHORIZED,
    kinds.NO_NAME,
    kinds.NO_TLS,
    Kind("wrong JSON shape", _SHAPES, answered=True),
    Kind("another DID", [_ANOTHER], answered=True),
    kinds.OVERSIZE,
    Kind(
        "PLC 404",
        [respond({"message": "DID not registered"}, 404, **CLOSE), page(404)],
        (DIRECTORY,),
    ),
    Kind("PLC 500", [respond({"message": "Internal"}, 500, **CLOSE), page(500)], (DIRECTORY,)),
)
DOWN = Kind("PLC down", ["closed"], (DIRECTORY,), lasting=True)
"""The last one."""


@dataclass
class Site(Account):
    """An account. While its server works, its session is good."""

    password: str = field(default_factory=some_password, repr=False)

    @property
    def handle(self) -> str:
        return f"alice-{self.number}.example.com"

    @property
    def did(self) -> str:
        letters = "abcdefghijklmnopqrstuvwxyz"
        name = "".join(letters[self.number // 26**place % 26] for place in range(4))
        return f"did:plc:{name:a>24}"

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"handle": self.handle, "appPassword": self.password}

    @property
    def secrets(self) -> list[str]:
        return [self.password, *self.tokens]


class _Directory(RawServer):
    storm: "Storm"

    def _answer(self, request: Request) -> Answer:
        return self.storm.answer_of_directory(request)


class Storm(AnyStorm[Site, int]):
    """Account servers, and the directory of their DIDs."""

    platform = "bluesky"
    kinds = (*KINDS, DOWN)

    def __init__(self, names: DnsServer, authority: Authority, count: int) -> None:
        super().__init__(names, authority, count)
        self._by_did = {site.did: site for site in self.sites.values()}
        self._directory: RawServer
        self._open_directory = AsyncExitStack()
        for site in self.sites.values():
            self._dns.say(f"_atproto.{site.handle}", "TXT", f'"did={site.did}"')

    def site(self, number: int) -> Site:
        return Site(number)

    @asynccontextmanager
    async def directories(self) -> AsyncIterator[None]:
        async with self._open_directory:
            self._directory = await self._open_directory.enter_async_context(_Directory.started())
            self._directory.storm = self  # type: ignore[attr-defined]
            yield

    @property
    def directory(self) -> str:
        return self._directory.origin

    def places(self, kind: Kind) -> Sequence[int]:
        if isinstance(kind.answers[0], str):
            return kind.places or AT_SERVER
        return kind.places or (*AT_SERVER, DIRECTORY)

    def max_logins(self, kind: Kind, place: int) -> int:
        return int(place in (LOGIN, STANDING_AGAIN, *([STANDING] if kind.answered else [])))

    async def begin(self, kind: Kind) -> None:
        if kind is DOWN:
            # for good: its port refuses connections from now on
            await self._open_directory.aclose()

    def set(self, site: Site, place: int, answer: Answer | str) -> None:
        self.mend(site)
        site.begins_at, site.answer = place, answer
        # a closed port cannot count its calls
        site.met = answer in DOWN.answers
        if place == REFRESH and isinstance(answer, str):
            self._break_host(site, answer)

    def answer(self, request: Request) -> Answer:
        site = self.sites[request.host]
        method = request.path.rpartition(".")[2]
        if method == "createSession":
            site.logins += 1
        expected = site.asked < len(METHODS) and METHODS[site.asked] == method
        if site.begins_at is None or not expected:
            return self._normal(site, method)
        question, site.asked = site.asked, site.asked + 1
        if question >= site.begins_at >= 0 and not isinstance(site.answer, str):
            site.met = True
            return site.answer
        if question == site.begins_at - 1 and isinstance(site.answer, str):
            self._break_host(site, site.answer)
        return self._failing(question, site)

    def answer_of_directory(self, request: Request) -> Answer:
        site = self._by_did[request.path.split("/")[1]]
        if site.begins_at == DIRECTORY and not isinstance(site.answer, str):
            site.met = True
            return site.answer
        endpoint = f"https://{site.host}"
        return respond(document(site.did, site.handle, endpoint), 200, **CLOSE)

    def _normal(self, site: Site, method: str) -> Answer:
        if method in ("createSession", "refreshSession"):
            return self._session(site)
        if method == "getRepoStatus":
            return respond({"did": site.did, "active": True}, 200, **CLOSE)
        return respond({}, 200 if method == "deleteSession" else 404, **CLOSE)

    def _failing(self, question: int, site: Site) -> Answer:
        if question == REFRESH:
            return xrpc(400, "ExpiredToken", **CLOSE)
        if question == LOGIN:
            return xrpc(401, "AuthenticationRequired", **CLOSE)
        return self._normal(site, "getRepoStatus")

    def _session(self, site: Site) -> Answer:
        number = len(site.tokens)
        access = jwt(
            {"scope": "com.atproto.appPass", "exp": 4_000_000_000}, f"a{number} {site.did}"
        )
        refresh = jwt({"scope": "com.atproto.refresh"}, f"r{number} {site.did}")
        site.tokens += [access, refresh]
        session = {"accessJwt": access, "refreshJwt": refresh, "did": site.did}
        return respond({**session, "handle": site.handle, "active": True}, 200, **CLOSE)
