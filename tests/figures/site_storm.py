"""Site storms: the sandbox's stand-ins behind public names, which fail on order.

A check asks a site for one thing after the other; how far it gets depends on the account's state.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import httpx

from service.sandbox.sites.ghost import ANOTHER_UUID, SECRET, SITE_UUID, GhostSite
from service.sandbox.sites.mastodon import ACCESS_TOKEN, REGENERATED_TOKEN, MastodonSite
from service.sandbox.sites.site import Site
from service.sandbox.sites.wordpress import APP_PASSWORD, WordPressSite
from tests.platforms.raw import Answer, Request, Wire, respond

from . import kinds
from .connecting import USES
from .kinds import Kind, page
from .storm import CLOSE, Account, Storm

S = TypeVar("S", bound=Site)
ELSEWHERE = "https://elsewhere.example.com"
CUT, STRIPPED = "cut-off body", "stripped header"
"""Faults of a proxy: half of each answer's body is lost, or the header `authorization`."""


@dataclass(frozen=True)
class Place:
    """An outage begins at the request number *at* of a check, of an account in *state*."""

    state: str
    at: int


@dataclass
class Served(Account, Generic[S]):
    """An account at a stand-in of its own."""

    site: S = field(kw_only=True)

    @property
    def credentials(self) -> Mapping[str, str]:
        return self.site.credentials()


def _status(number: int, code: str) -> Kind:
    return kinds.with_status(number, respond({"error": code, "code": code}, number, **CLOSE))


COMMON = (
    kinds.REFUSED,
    kinds.RESET,
    kinds.HUNG,
    kinds.DRIPPED,
    Kind(
        "429",
        [
            respond({"error": "Too many requests"}, 429, retry_after="300", **CLOSE),
            page(429),
        ],
    ),
    _status(500, "internal_error"),
    _status(502, "bad_gateway"),
    _status(503, "unavailable"),
    _status(504, "timeout"),
    kinds.HTML,
    kinds.CAPTIVE,
    kinds.UNAUTHORIZED,
    # one that is seen only after Mastodon has proved a revocation hides nothing
    Kind("401, gateway", [respond({"message": "Unauthorized"}, 401, **CLOSE)], harmless=True),
    Kind("403, firewall", [page(403), respond({"message": "Blocked"}, 403, **CLOSE)]),
    Kind("404 and 410, HTML", [page(404), page(410)]),
    kinds.NO_NAME,
    kinds.NO_TLS,
    kinds.OVERSIZE,
    Kind(CUT, [CUT]),
    Kind(STRIPPED, [STRIPPED], harmless=True),
)


def _shapes(*bodies: object) -> Kind:
    answers = [respond(body, 200, **CLOSE) for body in ([], None, {}, *bodies)]
    cut = respond('{"error": "The access', 401, content_type="application/json", **CLOSE)
    return Kind("wrong JSON shape", [*answers, cut])


class SiteStorm(Storm[Served[S], Place]):
    """Stand-ins of one platform. *requests*: how many a check makes, by the account's state.

    *switches*: outages that the stand-in plays itself, as an attribute with its values meanwhile
    and otherwise.
    """

    stand_in: ClassVar[type[Site]]
    requests: ClassVar[Mapping[str, int]]
    switches: ClassVar[Mapping[str, tuple[str, Any, Any]]]
    max_uses: ClassVar[int]
    """How often a check may use the owner's credential."""

    def site(self, number: int) -> Served[S]:
        origin = f"https://{Account(number).host}"
        public: Any = type(self.stand_in.__name__, (self.stand_in,), {"origin": origin})
        return Served(number, site=public())

    def places(self, kind: Kind) -> Sequence[Place]:
        # what hides nothing must not hide a true break
        states = ("whole",) if kind.harmless else self.requests
        return [Place(state, at) for state in states for at in range(self.requests[state])]

    def max_logins(self, kind: Kind, place: Place) -> int:
        return self.max_uses

    def set(self, site: Served[S], place: Place, answer: Answer | str) -> None:
        self.mend(site)
        self.enter(site, place.state)
        site.begins_at, site.answer = place.at, answer
        if place.at == 0:
            self._begin(site)

    def mend(self, site: Served[S]) -> None:
        super().mend(site)
        for name, _, value in self.switches.values():
            setattr(site.site, name, value)
        self.enter(site, "whole")

    @abstractmethod
    def enter(self, site: Served[S], state: str) -> None:
        """Put the account in *state*; in `whole`, all is well."""

    def answer(self, request: Request) -> Answer:
        site = self.sites[request.host]
        site.logins += request.path.endswith(USES[self.platform])
        number, site.asked = site.asked, site.asked + 1
        if site.begins_at is None or number < site.begins_at:
            return self._forwarded(site, request, is_last=number + 1 == site.begins_at)
        site.met = True
        if isinstance(site.answer, str):
            return self._forwarded(site, request, site.answer)
        return site.answer

    def _begin(self, site: Served[S]) -> None:
        if not isinstance(site.answer, str) or site.answer in (CUT, STRIPPED):
            return
        if site.answer in self.switches:
            name, value, _ = self.switches[site.answer]
            setattr(site.site, name, value)
        else:
            self._break_host(site, site.answer)

    def _forwarded(
        self, site: Served[S], request: Request, fault: str = "", *, is_last: bool = False
    ) -> Answer:
        """*is_last*: the outage begins after it."""

        async def answer(wire: Wire) -> None:
            headers = [
                (name, value)
                for name, value in request.headers
                if (name, fault) != ("authorization", STRIPPED)
            ]
            url = f"https://{site.host}{request.target}"
            sent = httpx.Request(request.method, url, headers=headers, content=request.body)
            received = await httpx.ASGITransport(site.site).handle_async_request(sent)
            body = await received.aread()
            if is_last:
                self._begin(site)
            kept = {
                name.replace("-", "_"): value
                for name, value in received.headers.items()
                if name != "content-length"
            }
            raw = respond(body, received.status_code, **{**kept, **CLOSE})
            await wire.send(raw[: len(raw) - len(body) // 2 - 1] if fault == CUT else raw)
            wire.end()

        return answer


def _switched(*names: str) -> Sequence[Kind]:
    return [Kind(name, [name], harmless=True) for name in names]


class WordPressStorm(SiteStorm[WordPressSite]):
    """States: `ended`, the session is deleted; `refused`, the pasted password as well."""

    platform = "wordpress"
    stand_in = WordPressSite
    requests: ClassVar[Mapping[str, int]] = {"whole": 5, "ended": 6, "refused": 5}
    switches: ClassVar[Mapping[str, tuple[str, Any, Any]]] = {
        "closed to strangers": ("is_closed", True, False),
        "maintenance": ("is_under_maintenance", True, False),
        "user routes hidden": ("has_user_routes", False, True),
        "another site's index": ("stated_home", ELSEWHERE, ""),
    }
    max_uses = 1
    kinds = (
        *COMMON,
        _shapes({"home": 5, "namespaces": "wp/v2"}, {"uuid": 7, "id": "2", "capabilities": []}),
        *_switched(*switches),
    )

    def site(self, number: int) -> Served[WordPressSite]:
        site = super().site(number)
        site.tokens.append(APP_PASSWORD)
        return site

    def enter(self, site: Served[WordPressSite], state: str) -> None:
        user = site.site.users["alice"]
        user.restore_pasted()
        if state == "refused":
            user.revoke_pasted()
        if state != "whole":
            # they come back with the pasted one
            user.deleted |= user.app_passwords
            user.app_passwords = {
                uuid: each for uuid, each in user.app_passwords.items() if not each.app_id
            }


class MastodonStorm(SiteStorm[MastodonSite]):
    """States: `unknown`, the server does not know the token; `revoked`, it says so."""

    platform = "mastodon"
    stand_in = MastodonSite
    requests: ClassVar[Mapping[str, int]] = {"whole": 3, "unknown": 8, "revoked": 8}
    switches: ClassVar[Mapping[str, tuple[str, Any, Any]]] = {
        "signed fetch alone": ("wants_signatures", True, False),
        "another's actor": ("stated", {"preferredUsername": "mallory"}, {}),
    }
    max_uses = 3
    kinds = (
        *COMMON,
        _shapes({"subject": 5, "links": "self"}, {"username": 7, "uri": None, "id": []}),
        *_switched(*switches),
    )

    def site(self, number: int) -> Served[MastodonSite]:
        site = super().site(number)
        site.tokens.append(ACCESS_TOKEN)
        return site

    def enter(self, site: Served[MastodonSite], state: str) -> None:
        [token, *_] = site.site.tokens
        token.value = REGENERATED_TOKEN if state == "unknown" else ACCESS_TOKEN
        token.is_revoked = state == "revoked"


class GhostStorm(SiteStorm[GhostSite]):
    """One state: a key that is refused is proof at once."""

    platform = "ghost"
    stand_in = GhostSite
    requests: ClassVar[Mapping[str, int]] = {"whole": 3}
    switches: ClassVar[Mapping[str, tuple[str, Any, Any]]] = {
        "another site": ("uuid", ANOTHER_UUID, SITE_UUID),
        "clock ahead": ("clock_offset", 600, 0),
        "clock behind": ("clock_offset", -600, 0),
    }
    max_uses = 1
    kinds = (
        *COMMON,
        _shapes({"site": 5, "users": {}}, {"site": {"version": 6}, "users": None}),
        *_switched(*switches),
    )

    def site(self, number: int) -> Served[GhostSite]:
        site = super().site(number)
        site.tokens.append(SECRET)
        return site

    def enter(self, site: Served[GhostSite], state: str) -> None: ...
