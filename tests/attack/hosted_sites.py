"""Hosted sites: the platforms' stand-ins, each behind a host name of the tests' own internet.

A site is at `https://HOST`, with the accounts of its stand-in. An attacker's site lies at one step.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.sandbox.sites import SITES
from service.sandbox.sites.site import Site
from tests.platforms.internet import WEB, Internet
from tests.platforms.raw import Answer, Request, Wire, respond
from tests.support.running import Running

Serve = Callable[[Request], Answer]
NAMES_IN_CONTRACT = {
    "appPassword": "app_password",
    "accessToken": "access_token",
    "apiKey": "api_key",
}
"""Names of credentials in `Credentials`, by their JSON names."""
_numbers = count()


@dataclass(frozen=True)
class Entry:
    """A connect's platform and credentials."""

    platform: str
    credentials: pb.Credentials


def fresh() -> str:
    return f"n{next(_numbers)}"


def new_host() -> str:
    """Return a host with a domain of its own: checks pause for a domain that fails."""
    return f"www.{fresh()}.com"


def site_at(platform: str, host: str) -> Site:
    """Return a new stand-in of *platform* that states `https://HOST`, or an origin, as its
    address."""
    [kind] = [each for each in SITES if each.platform == platform]
    there = property(lambda _: host if "://" in host else f"https://{host}")
    made: Site = type(kind.__name__, (kind,), {"origin": there})()
    return made


def served(site: Site) -> Serve:
    """Return what answers as *site* does, and closes each connection."""
    transport = httpx.ASGITransport(site)

    def serve(request: Request) -> Answer:
        async def answer(wire: Wire) -> None:
            asked = httpx.Request(
                request.method,
                f"{site.origin}{request.target}",
                headers=list(request.headers),
                content=request.body,
            )
            response = await transport.handle_async_request(asked)
            headers = {
                name.replace("-", "_"): value
                for name, value in response.headers.items()
                if name != "content-length"
            }
            headers["connection"] = "close"
            await wire.send(respond(await response.aread(), response.status_code, **headers))

        return answer

    return serve


def entry(site: Site, /, **other: str) -> Entry:
    """Return the sample account's credentials at *site*, with *other* values by JSON name."""
    return as_entry(site.platform, {**site.credentials(), **other})


def as_entry(platform: str, credentials: Mapping[str, str]) -> Entry:
    """Return *credentials*, by JSON name, as the contract has them."""
    names = NAMES_IN_CONTRACT
    given = {names.get(name, name): value for name, value in credentials.items()}
    return Entry(platform, pb.Credentials(**given))


async def connected(
    service: Running, named: Entry, *, profile_key: str | None = None, api_key: str | None = None
) -> str:
    """Connect by *named*; return the profile's key."""
    reply = await service.profiles.ConnectProfile(
        pb.ConnectProfileRequest(
            profile_key=profile_key, platform=named.platform, credentials=named.credentials
        ),
        metadata=service.metadata(api_key),
        timeout=20,
    )
    return reply.profile_key


async def started(kind: type[Site], stack: AsyncExitStack) -> Site:
    """Start a stand-in on a port of its own, until *stack* ends."""
    site = kind()
    await site.start()
    stack.push_async_callback(site.stop)
    return site


def put(internet: Internet, site: Site) -> str:
    """Serve *site* at its host, which is new; return the host."""
    host = site.origin.partition("://")[2]
    internet.dns.say(host, "A", WEB)
    internet.web.serve(host, served(site))
    return host


def new_site(internet: Internet, platform: str) -> Site:
    site = site_at(platform, new_host())
    put(internet, site)
    return site


def _typed(platform: str, field: str, shape: str) -> Callable[[Internet, str], Entry]:
    """Let the tenant's caller name the target."""

    def lead(_: Internet, target: str) -> Entry:
        return entry(site_at(platform, "example.com"), **{field: shape.format(target)})

    return lead


def _redirecting(platform: str) -> Callable[[Internet, str], Entry]:
    """Let the attacker's site redirect every request to the target."""

    def lead(internet: Internet, target: str) -> Entry:
        site = new_site(internet, platform)
        place = "".join(one for one in target if " " < one <= "~")
        place = place if "://" in place else f"https://{place}"

        def serve(request: Request) -> Answer:
            return respond("", 302, location=f"{place}{request.target}", connection="close")

        internet.web.serve(site.origin.partition("://")[2], serve)
        return entry(site)

    return lead


def _changed(platform: str, change: Callable[[Any, str], None]) -> Callable[[Internet, str], Entry]:
    """Let the attacker's site state the target as *change* does."""

    def lead(internet: Internet, target: str) -> Entry:
        site = new_site(internet, platform)
        change(site, target if "://" in target else f"https://{target}")
        return entry(site)

    return lead


def _answering(
    platform: str, answer: Callable[[str, Site], bytes]
) -> Callable[[Internet, str], Entry]:
    """Let the attacker's site answer every request with *answer*."""

    def lead(internet: Internet, target: str) -> Entry:
        site = new_site(internet, platform)
        url = target if "://" in target else f"https://{target}"
        host = site.origin.partition("://")[2]
        internet.web.serve(host, lambda _: answer(url, site))
        return entry(site)

    return lead


def _closed(url: str, _: Site) -> bytes:
    place = "".join(one for one in url if " " < one <= "~")
    link = f'<{place}/wp-json/>; rel="https://api.w.org/"'
    return respond({"code": "rest_not_logged_in"}, 401, link=link, connection="close")


def _described(url: str, site: Site) -> bytes:
    """Return what Ghost states of itself, with another public address."""
    stated = {"title": "t", "url": url, "version": "6.65", "site_uuid": "x"}
    return respond({"site": stated}, connection="close")


def _set_home(site: Any, url: str) -> None:
    site.stated_home = url


def _set_subject(site: Any, url: str) -> None:
    site.stated["subject"] = f"acct:alice@{url.partition('://')[2]}"


def _set_actor(site: Any, url: str) -> None:
    site.stated["self"] = f"{url}/users/alice"


WAYS: dict[tuple[str, str], Callable[[Internet, str], Entry]] = {
    ("wordpress", "site"): _typed("wordpress", "site", "{}"),
    ("wordpress", "redirect"): _redirecting("wordpress"),
    ("wordpress", "home"): _changed("wordpress", _set_home),
    ("wordpress", "closed"): _answering("wordpress", _closed),
    ("ghost", "site"): _typed("ghost", "site", "{}"),
    ("ghost", "redirect"): _redirecting("ghost"),
    ("ghost", "url"): _answering("ghost", _described),
    ("mastodon", "handle"): _typed("mastodon", "handle", "@alice@{}"),
    ("mastodon", "redirect"): _redirecting("mastodon"),
    ("mastodon", "subject"): _changed("mastodon", _set_subject),
    ("mastodon", "actor"): _changed("mastodon", _set_actor),
}
"""How a target comes to be named, by platform: the credentials of a connect that leads there."""


@dataclass(frozen=True)
class Step:
    """A request that a platform's adapter makes, at one time of a connection's life.

    *at*: `connect`, `renew` or `delete`. *is_found*: it has no credential, and follows redirects.
    """

    platform: str
    name: str
    at: str
    matches: Callable[[Request], bool]
    is_found: bool = False


def _is_signed(request: Request) -> bool:
    return bool(request.values("authorization"))


def _ends(end: str, method: str = "GET") -> Callable[[Request], bool]:
    return lambda request: request.method == method and request.path.endswith(end)


STEPS = (
    Step("wordpress", "index", "connect", lambda request: not _is_signed(request), is_found=True),
    Step("wordpress", "introspection", "connect", _ends("/introspect")),
    Step("wordpress", "user", "connect", _ends("/users/me")),
    Step("wordpress", "minting", "connect", _ends("/application-passwords", "POST")),
    Step("wordpress", "session", "renew", _is_signed),
    Step("wordpress", "log-out", "delete", lambda request: request.method == "DELETE"),
    Step("ghost", "site", "connect", lambda request: not _is_signed(request), is_found=True),
    Step("ghost", "proof", "connect", _is_signed),
    Step(
        "ghost",
        "site before a renewal",
        "renew",
        lambda request: not _is_signed(request),
        is_found=True,
    ),
    Step("ghost", "renewal", "renew", _is_signed),
    Step("mastodon", "webfinger", "connect", _ends("/.well-known/webfinger"), is_found=True),
    Step("mastodon", "actor", "connect", _ends("/users/alice")),
    Step("mastodon", "proof", "connect", _ends("/accounts/verify_credentials")),
    Step("mastodon", "application", "connect", _ends("/apps/verify_credentials")),
    Step("mastodon", "renewal", "renew", _is_signed),
)


def hops(internet: Internet, platform: str, count: int) -> tuple[Entry, list[str]]:
    """Return an entry whose look-up is redirected *count* times to hosts that are returned."""
    hosts = [f"{fresh()}.example.net" for _ in range(count)]
    entry_ = WAYS[platform, "redirect"](internet, hosts[0])
    for host, following in zip(hosts, [*hosts[1:], hosts[-1]], strict=True):
        internet.dns.say(host, "A", WEB)
        internet.web.serve(host, _onward(following))
    return entry_, hosts


def _onward(host: str) -> Serve:
    return lambda request: respond(
        "", 302, location=f"https://{host}{request.target}", connection="close"
    )
