"""Bad sites and bad input: what a person may type, and what may be at that address."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import grpc.aio
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from service.sandbox.sites.site import Change, Site
from service.sandbox.sites.wordpress import APP_PASSWORD
from tests.support.running import Running, running

from .conftest import settings, standing_in
from .connected import (
    HEALTHY,
    HOUR,
    MINUTE,
    UNVERIFIED,
    Connected,
    broken,
    connect,
    publish,
    refused,
)
from .sites import StandIn

PASSWORD = APP_PASSWORD


class OddSite(Site):
    """A server that is no WordPress, or a strange one. It must never see a credential."""

    platform = "odd"

    def restore(self) -> None:
        self.answer: Callable[[Request], Response] = lambda _: HTMLResponse("<title>Hi</title>")
        self.authorizations: list[str] = []

    def routes(self) -> Sequence[Route]:
        async def endpoint(request: Request) -> Response:
            self.authorizations += request.headers.getlist("authorization")
            return self.answer(request)

        return [Route("/{path:path}", endpoint, methods=["GET", "POST", "DELETE"])]

    def credentials(self) -> dict[str, str]:
        return {}

    def changes(self) -> dict[str, Change]:
        return {}


@pytest.fixture
async def odd() -> AsyncIterator[OddSite]:
    site = OddSite()
    await site.start()
    yield site
    assert site.authorizations == []
    await site.stop()


@pytest.fixture
async def both(
    stand_in: StandIn, odd: OddSite, database: Path, clock: object
) -> AsyncIterator[Running]:
    """The service, which trusts both servers."""
    async with running(database, settings(stand_in.origin, odd.origin), clock) as started:  # type: ignore[arg-type]
        yield started


def index(home: str, **more: object) -> dict[str, object]:
    methods: dict[str, object] = {"application-passwords": {}}
    return {"home": home, "namespaces": ["wp/v2"], "authentication": methods, **more}


def in_json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, {"content-type": "application/json"})


async def test_a_redirect_to_the_site(both: Running, stand_in: StandIn, odd: OddSite) -> None:
    """Is followed without the credential; the account is at the site that it leads to."""
    odd.answer = lambda request: RedirectResponse(
        f"{stand_in.home}{request.url.path}?{request.url.query}", 301
    )
    reply = await connect(both, odd.origin, "alice", PASSWORD)
    assert reply.username == f"alice@{stand_in.origin.partition('://')[2]}"
    [row] = both.rows("SELECT account_id, origin FROM connections")
    assert row == {"account_id": f"{stand_in.home}/?author=2", "origin": stand_in.origin}


async def test_a_redirect_loop(both: Running, odd: OddSite) -> None:
    """Ends after three."""
    odd.answer = lambda request: RedirectResponse(str(request.url), 302)
    refusal = await refused(both, odd.origin, "alice", PASSWORD)
    assert (refusal.reason, refusal.metadata["cause"]) == (
        "PLATFORM_UNAVAILABLE",
        "UNEXPECTED_ANSWER",
    )
    assert odd.counts.total() <= 8


@pytest.mark.parametrize(
    "target",
    [
        *("http://127.0.0.1:9/wp-json/", "https://10.0.0.1/wp-json/", "https://localhost/wp-json/"),
        *("file:///etc/passwd", "http://example.com/wp-json/", "https://a:b@example.com/wp-json/"),
    ],
)
async def test_a_redirect_to_where_it_may_not_lead(
    both: Running, odd: OddSite, target: str
) -> None:
    """To a private address, http, or with user information."""
    odd.answer = lambda _: Response(status_code=302, headers={"location": target})
    refusal = await refused(both, odd.origin, "alice", PASSWORD)
    assert refusal.reason == "PLATFORM_UNAVAILABLE", refusal


@pytest.mark.parametrize(
    "typed",
    ["127.0.0.1", "http://127.0.0.1:1/", "localhost", "10.0.0.1/blog", "169.254.169.254", "intra"],
)
async def test_private_addresses(both: Running, typed: str) -> None:
    """Are rejected before anything is sent."""
    refusal = await refused(both, typed, "alice", PASSWORD)
    assert refusal.metadata["cause"] == "ADDRESS_NOT_ALLOWED", refusal


@pytest.mark.parametrize("status", [401, 403])
async def test_a_closed_api_that_names_another_site(
    both: Running, odd: OddSite, status: int
) -> None:
    """The error names that one; nothing is sent to either."""
    answer = in_json({"code": "rest_not_logged_in", "message": "", "data": {}}, status)
    answer.headers["link"] = '<https://blog.example.com/wp-json/>; rel="https://api.w.org/"'
    odd.answer = lambda _: answer
    refusal = await refused(both, odd.origin, "alice", PASSWORD)
    assert refusal.metadata["cause"] == "SITE_NOT_FOUND"
    assert refusal.metadata["redirectsTo"] == "https://blog.example.com"


@pytest.mark.parametrize("link", ["", "<nothing>; rel=x", '<https://[>; rel="https://api.w.org/"'])
async def test_a_closed_api_that_names_no_site(both: Running, odd: OddSite, link: str) -> None:
    answer = in_json({"code": "rest_forbidden"}, 403)
    answer.headers["link"] = link
    odd.answer = lambda _: answer
    refusal = await refused(both, odd.origin, "alice", PASSWORD)
    assert refusal.metadata["cause"] == "UNEXPECTED_ANSWER"


async def test_another_name_of_the_site(both: Running, stand_in: StandIn) -> None:
    """The error names the right one, which then works; the credential was sent nowhere."""
    stand_in.site.stated_home = "https://blog.example.com"
    refusal = await refused(both, stand_in.home, "alice", PASSWORD)
    assert refusal.metadata["cause"] == "SITE_NOT_FOUND"
    assert refusal.metadata["redirectsTo"] == "https://blog.example.com"
    assert set(stand_in.site.counts) == {"GET /wp-json/"}
    assert both.rows("SELECT * FROM login_debits") == []


async def test_a_page_of_the_site(both: Running, stand_in: StandIn) -> None:
    """Leads to the site by the error."""
    refusal = await refused(both, f"{stand_in.home}/2026/a-post/", "alice", PASSWORD)
    assert refusal.metadata["cause"] == "SITE_NOT_FOUND"
    for path in ("/wp-admin/", "/wp-login.php?x=y", "/index.php"):
        await connect(both, f"{stand_in.home}{path}", "alice", PASSWORD)


@pytest.mark.parametrize(
    ("answer", "reason", "expected"),
    [
        (lambda _: HTMLResponse("<title>Hi</title>"), "INVALID_CREDENTIALS", "SITE_NOT_FOUND"),
        (lambda _: HTMLResponse("gone", 404), "INVALID_CREDENTIALS", "SITE_NOT_FOUND"),
        (lambda _: in_json({"hello": 1}), "INVALID_CREDENTIALS", "SITE_NOT_FOUND"),
        (lambda _: in_json([index("x")]), "INVALID_CREDENTIALS", "SITE_NOT_FOUND"),
        (lambda _: in_json(index("not an address")), "INVALID_CREDENTIALS", "SITE_NOT_FOUND"),
        (
            lambda request: in_json(index(str(request.base_url), namespaces=["wc/v3"])),
            "INVALID_CREDENTIALS",
            "SITE_NOT_FOUND",
        ),
        (
            lambda request: in_json(index(str(request.base_url), authentication=[])),
            "INVALID_CREDENTIALS",
            "SWITCHED_OFF",
        ),
        (
            lambda request: in_json(index(str(request.base_url), name="x" * 200_000)),
            "PLATFORM_UNAVAILABLE",
            "UNEXPECTED_ANSWER",
        ),
        (
            lambda _: in_json({"code": "rest_not_logged_in"}, 401),
            "PLATFORM_UNAVAILABLE",
            "UNEXPECTED_ANSWER",
        ),
        (lambda _: HTMLResponse("Blocked", 403), "PLATFORM_UNAVAILABLE", "UNEXPECTED_ANSWER"),
        (lambda _: HTMLResponse("Down", 500), "PLATFORM_UNAVAILABLE", "SERVER_ERROR"),
        (lambda _: HTMLResponse("Wait", 503), "PLATFORM_UNAVAILABLE", "SERVER_ERROR"),
        (lambda _: HTMLResponse("Slow down", 429), "PLATFORM_UNAVAILABLE", "BUSY"),
    ],
)
async def test_what_may_be_there(
    both: Running,
    odd: OddSite,
    answer: Callable[[Request], Response],
    reason: str,
    expected: str,
) -> None:
    """Instead of a WordPress. No login is spent, and nothing secret is sent."""
    odd.answer = answer
    refusal = await refused(both, odd.origin, "alice", PASSWORD)
    assert (refusal.reason, refusal.metadata["cause"]) == (reason, expected)
    assert both.rows("SELECT * FROM login_debits") == []


@pytest.mark.parametrize("name", ["site", "username", "app_password"])
@pytest.mark.parametrize(
    "value", ["", "x" * 10_000, "<b>x</b>", "a:b:c", "a\nb", "\u202e", "https://a b/", "  "]
)
@pytest.mark.slow
async def test_bad_fields(both: Running, stand_in: StandIn, name: str, value: str) -> None:
    """The error names the field, and nothing is called."""
    given = {"site": stand_in.home, "username": "alice", "app_password": PASSWORD, name: value}
    refusal = await refused(both, given["site"], given["username"], given["app_password"])
    assert refusal.fields == (f"credentials.{name}",), refusal
    if value:
        assert refusal.metadata["cause"] == "MALFORMED_FIELD"
        spoken = {"app_password": "credentials.appPassword"}.get(name, f"credentials.{name}")
        assert refusal.metadata["field"] == spoken
    assert stand_in.site.counts == {}


async def test_pasted_with_invisible_marks(both: Running, stand_in: StandIn) -> None:
    """In groups, with what a page adds around them."""
    typed = "\u200bsand boxS\u00a0ANDB OX01 2345 6789\n"
    await connect(both, f"\u202a {stand_in.home}/ \u202c", "\ufeffAlice ", typed)


async def test_a_site_in_a_folder(database: Path, clock: object) -> None:
    """The folder is part of the account and of the endpoint."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(standing_in("/blog"))
        service = await stack.enter_async_context(running(database, settings(site.origin)))
        found = await refused(service, site.origin, "alice", PASSWORD)
        assert found.metadata["cause"] == "SITE_NOT_FOUND"
        page = await refused(service, f"{site.home}/2026/a-post", "alice", PASSWORD)
        assert page.metadata["cause"] == "SITE_NOT_FOUND"
        reply = await connect(service, f"{site.home}/wp-admin/", "alice", PASSWORD)
        lease = await service.lease(reply.profile_key, platform="wordpress")
        assert lease.service_endpoint == f"{site.home}/wp-json"
        assert lease.account_id == f"{site.home}/?author=2"
        assert (await publish(lease, "In a folder")).status_code == 201


@pytest.fixture
async def alice(both: Running, stand_in: StandIn, clock: object) -> Connected:
    connected = Connected(both, stand_in, clock, await stand_in.person())  # type: ignore[arg-type]
    await connected.connect()
    return connected


async def test_a_site_that_moves(alice: Connected) -> None:
    """By its own statement, ten minutes long; the credential stays where it was."""
    site = alice.site
    assert isinstance(site, StandIn)
    site.site.stated_home = "https://new.example.com"
    assert await alice.verdict(25 * HOUR) == UNVERIFIED
    assert await alice.verdict(11 * MINUTE) == broken("SERVER_MOVED")
    site.site.stated_home = ""
    assert await alice.verdict() == HEALTHY


async def test_a_site_that_is_restored_from_a_backup(alice: Connected) -> None:
    """Of before the session: one login. Of before the pasted password: two refusals."""
    site = alice.site
    assert isinstance(site, StandIn)
    user = site.site.users[alice.person.login]
    user.app_passwords = {alice.person.uuid: user.app_passwords[alice.person.uuid]}
    assert await alice.verdict() == HEALTHY
    user.app_passwords = {}
    assert await alice.verdict(25 * HOUR) == UNVERIFIED
    # the second one waits longer, as the logins before it were not followed by a refresh
    assert await alice.verdict(7 * HOUR) == broken("APP_PASSWORD_REVOKED")


@pytest.mark.parametrize("status", [400, 403, 404, 405, 408, 418, 429, 500, 501, 502, 503, 504])
@pytest.mark.parametrize("has_session", [True, False])
@pytest.mark.slow
async def test_outages_of_each_status(alice: Connected, status: int, has_session: bool) -> None:
    """None is a flag, and all is well after them."""
    site = alice.site
    assert isinstance(site, StandIn)
    if not has_session:
        await site.end_session(alice.person)
    site.site.break_(status)
    for _ in range(4):
        assert await alice.verdict(7 * HOUR) == UNVERIFIED
    site.site.break_(None)
    assert await alice.verdict(25 * HOUR) == HEALTHY


async def test_a_site_that_is_gone(alice: Connected) -> None:
    """No connection proves nothing."""
    site = alice.site
    assert isinstance(site, StandIn)
    port = int(site.origin.rpartition(":")[2])
    await site.site.stop()
    for _ in range(3):
        assert await alice.verdict(7 * HOUR) == UNVERIFIED
    await site.site.start(port=port)
    assert await alice.verdict(25 * HOUR) == HEALTHY


async def test_an_owner_who_ends_every_session(alice: Connected) -> None:
    """At once: the logins stay within the budget, however often a lease is asked for."""
    site = alice.site
    assert isinstance(site, StandIn)
    for _ in range(200):
        await site.end_session(alice.person)
        session = alice.service.session(alice.key)
        with suppress(grpc.aio.AioRpcError):  # the budget's
            await alice.lease(rejected=session.access_token)
        alice.clock.ahead += MINUTE
    logins = site.site.counts["GET /wp-json/wp/v2/users/me/application-passwords/introspect"]
    assert 1 < logins <= 20


async def test_a_login_is_not_retried(both: Running, odd: OddSite, stand_in: StandIn) -> None:
    """Nor does it follow a redirect: each credential call is made once, to one origin."""
    await refused(both, stand_in.home, "alice", "wrongWRONG01234567890123")
    counts = stand_in.site.counts
    introspect = "GET /wp-json/wp/v2/users/me/application-passwords/introspect"
    assert {path: count for path, count in counts.items() if path != "GET /wp-json/"} == {
        introspect: 1
    }
