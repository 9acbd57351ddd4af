"""The adapter: where it finds a site, and to whom it sends a token."""

import base64
import json
from typing import Any

import pytest

from service.domain.errors import InvalidCredentials, PlatformUnavailable
from service.domain.model import (
    SECOND,
    Account,
    AccountStatus,
    Credentials,
    InvalidCredentialsCause,
    PlatformUnavailableCause,
)
from service.platforms.ghost import answers
from service.platforms.ghost.adapter import GhostPlatform
from service.platforms.ghost.keys import AdminKey
from service.sandbox.sites.ghost import KEY_ID, SECRET, SITE_UUID
from tests.platforms.internet import NOW, Internet
from tests.platforms.raw import respond

KEY = f"{KEY_ID}:{SECRET}"
BLOG, ADMIN = "blog.example.com", "admin.example.net"
SITE, USERS = "/ghost/api/admin/site/", "/ghost/api/admin/users/"
PROVED = respond({"users": [{"id": "1"}]})
ACCOUNT = Account(SITE_UUID, BLOG, f"https://{BLOG}")


def stated(url: str = f"https://{BLOG}/", **changed: Any) -> bytes:
    """What a site states of itself; a field of None is left out."""
    site = {"title": "T", "url": url, "version": "6.65", "site_uuid": SITE_UUID, **changed}
    return respond({"site": {name: value for name, value in site.items() if value is not None}})


def moved(to: str) -> bytes:
    return respond("", status=301, location=to)


@pytest.fixture
def ghost(internet: Internet) -> GhostPlatform:
    return GhostPlatform(internet.context())


async def found(ghost: GhostPlatform, site: str) -> Account:
    return await ghost.identify(ghost.tidy(Credentials(site=site, apiKey=KEY)))


async def refusal(ghost: GhostPlatform, site: str) -> InvalidCredentialsCause:
    with pytest.raises(InvalidCredentials) as caught:
        await found(ghost, site)
    return caught.value.cause


async def outage(ghost: GhostPlatform, site: str) -> PlatformUnavailableCause:
    with pytest.raises(PlatformUnavailable) as caught:
        await found(ghost, site)
    assert caught.value.metadata["step"] == "SERVER"
    return caught.value.cause


@pytest.mark.parametrize(
    "typed",
    [
        BLOG,
        f"https://{BLOG}",
        f"HTTP://{BLOG.upper()}/",
        f"{BLOG}.",
        f"  {BLOG}/ghost  ",
        f"\u200bhttps://{BLOG}/ghost/#/settings/integrations\u200b",
        f"https://{BLOG}/ghost/api/admin/site/?x=y",
        f"https://{BLOG}//",
        f"{BLOG}?utm_source=x#top",
    ],
)
async def test_a_site_as_people_type_it(
    internet: Internet, ghost: GhostPlatform, typed: str
) -> None:
    """Without a scheme, with the dashboard's path, with what was copied along: one account."""
    internet.site(BLOG, SITE, stated())
    assert await found(ghost, typed) == ACCOUNT


async def test_a_site_in_a_folder(internet: Internet, ghost: GhostPlatform) -> None:
    """The folder stays, in the id and in the API's address."""
    internet.site(BLOG, f"/the/blog{SITE}", stated(f"https://{BLOG}/the/blog/"))
    account = await found(ghost, f"{BLOG}/the/blog/ghost/#/posts")
    assert account == Account(f"{SITE_UUID}/the/blog", BLOG, f"https://{BLOG}")
    internet.web.on(f"{BLOG}/the/blog{USERS}", PROVED)
    login = await ghost.log_in(Credentials(apiKey=KEY), account)
    lease = ghost.lend(login.session, account)
    assert lease.endpoint == f"https://{BLOG}/the/blog/ghost/api/admin"


async def test_a_site_without_a_permanent_id(internet: Internet, ghost: GhostPlatform) -> None:
    """Its address is the id, which stays when a newer Ghost has one."""
    internet.site(BLOG, f"/b{SITE}", stated(site_uuid=None))
    account = await found(ghost, f"{BLOG}/b")
    assert account == Account(f"https://{BLOG}/b", BLOG, f"https://{BLOG}")
    assert await ghost.resolve_account(account) == account
    internet.web.on(f"{BLOG}/b{SITE}", stated())
    assert await ghost.resolve_account(account) == account
    assert await ghost.account_status(account) is AccountStatus.ACTIVE


async def test_the_dashboard_is_on_another_domain(internet: Internet, ghost: GhostPlatform) -> None:
    """The name is the public address, which leads to it; tokens go to the dashboard's alone."""
    internet.site(BLOG, SITE, moved(f"https://{ADMIN}{SITE}"))
    internet.site(ADMIN, SITE, stated())
    internet.site(ADMIN, USERS, PROVED)
    for typed in (BLOG, ADMIN):
        assert await found(ghost, typed) == Account(SITE_UUID, BLOG, f"https://{ADMIN}")
    account = await found(ghost, BLOG)
    await ghost.log_in(Credentials(apiKey=KEY), account)
    assert ghost.lend(
        (await ghost.log_in(Credentials(apiKey=KEY), account)).session, account
    ).endpoint == (f"https://{ADMIN}/ghost/api/admin")
    with_token = [each.host for each in internet.web.requests if each.values("authorization")]
    assert set(with_token) == {ADMIN}


@pytest.mark.parametrize("there", [404, 200, 503])
async def test_a_public_address_that_does_not_lead_back(
    internet: Internet, ghost: GhostPlatform, there: int
) -> None:
    """Any site can state any address: the name is the host that was found."""
    internet.site(ADMIN, SITE, stated())
    internet.site(BLOG, SITE, stated() if there == 200 else respond("", status=there))
    assert await found(ghost, ADMIN) == Account(SITE_UUID, ADMIN, f"https://{ADMIN}")


async def test_an_outage_changes_no_name(internet: Internet, ghost: GhostPlatform) -> None:
    """While the public address is away, the account keeps the name that was proved."""
    internet.site(ADMIN, SITE, stated())
    internet.site(BLOG, SITE, respond("", status=503))
    account = Account(SITE_UUID, BLOG, f"https://{ADMIN}")
    assert await ghost.resolve_account(account) == account


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "<!doctype html>"),
        (404, {"errors": [{"message": "Resource not found"}]}),
        (410, ""),
        (405, ""),
        (200, "<!doctype html><title>A shop</title>"),
        (200, {"name": "A WordPress site", "url": "https://blog.example.com"}),
        (200, {"site": "none"}),
        (200, {"site": {"title": "no version"}}),
        (200, []),
    ],
)
async def test_a_site_of_another_kind(
    internet: Internet, ghost: GhostPlatform, status: int, body: Any
) -> None:
    internet.site(BLOG, SITE, respond(body, status=status))
    assert await refusal(ghost, BLOG) is InvalidCredentialsCause.SITE_NOT_FOUND


@pytest.mark.parametrize("status", [400, 401, 403, 406, 418, 451])
async def test_a_block_page_proves_nothing(
    internet: Internet, ghost: GhostPlatform, status: int
) -> None:
    """A firewall's, or an API that is closed to strangers."""
    internet.site(BLOG, SITE, respond("<h1>Blocked</h1>", status=status))
    assert await outage(ghost, BLOG) is PlatformUnavailableCause.UNEXPECTED_ANSWER


async def test_answers_that_are_too_large_or_go_in_circles(
    internet: Internet, ghost: GhostPlatform
) -> None:
    internet.site(BLOG, SITE, respond("x" * 200_000))
    assert await outage(ghost, BLOG) is PlatformUnavailableCause.UNEXPECTED_ANSWER
    internet.site(BLOG, SITE, moved(SITE))
    assert await outage(ghost, BLOG) is PlatformUnavailableCause.UNEXPECTED_ANSWER
    assert internet.web.times(SITE) == 5


@pytest.mark.parametrize(
    "to",
    [
        "http://blog.example.com/ghost/api/admin/site/",
        "https://127.0.0.1/ghost/api/admin/site/",
        "https://[::1]/ghost/api/admin/site/",
        "https://localhost/ghost/api/admin/site/",
        "https://admin.example.net:8443/ghost/api/admin/site/",
        "https://user:pass@admin.example.net/ghost/api/admin/site/",
        "file:///etc/passwd",
        "https://",
    ],
)
async def test_a_redirect_is_held_to_the_rules(
    internet: Internet, ghost: GhostPlatform, to: str
) -> None:
    """To what is not https on port 443 of a public address: refused, and not connected to."""
    internet.dns.say(ADMIN, "A", "93.184.216.34")
    internet.site(BLOG, SITE, moved(to))
    assert await outage(ghost, BLOG) in (
        PlatformUnavailableCause.ADDRESS_NOT_ALLOWED,
        PlatformUnavailableCause.UNEXPECTED_ANSWER,
    )
    assert set(internet.dialled) == {("93.184.216.34", 443)}


async def test_a_redirect_to_a_private_name(internet: Internet, ghost: GhostPlatform) -> None:
    """Has the same error as one to a name that does not exist."""
    internet.dns.say("inside.example.net", "A", "10.0.0.1")
    for name in ("inside.example.net", "unknown.example.net"):
        internet.site(BLOG, SITE, moved(f"https://{name}{SITE}"))
        assert await refusal(ghost, BLOG) is InvalidCredentialsCause.SITE_NOT_FOUND
    assert set(internet.dialled) == {("93.184.216.34", 443)}


async def test_a_redirect_to_what_is_no_site(internet: Internet, ghost: GhostPlatform) -> None:
    """An answer counts only at the API's own path: the token goes below it."""
    internet.site(BLOG, SITE, moved(f"https://{ADMIN}/elsewhere"))
    internet.site(ADMIN, "/elsewhere", stated())
    assert await refusal(ghost, BLOG) is InvalidCredentialsCause.SITE_NOT_FOUND


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "localhost", "a..b", "169.254.169.254:80"]
)
async def test_a_private_address(internet: Internet, ghost: GhostPlatform, host: str) -> None:
    assert await outage(ghost, host) is PlatformUnavailableCause.ADDRESS_NOT_ALLOWED
    assert internet.dialled == []


LONG = "x" * 10_000


@pytest.mark.parametrize(
    "site",
    [
        *(" ", "\u200b", LONG, f"{BLOG}/{LONG}", "https://", "://", "ftp://x.example", "a b.c"),
        *("<script>", f"{BLOG}:x", f"{BLOG}:99999999", f"user:pass@{BLOG}", f"user@{BLOG}"),
        *(f"{BLOG}/<b>", f"{BLOG}/a b", f"{BLOG}/../x", f"{BLOG}/%2e%2e/x", "exa\nmple.com"),
        *("\u2024\u2024", "xn--\u00e9.com", f"{BLOG}/{'a/' * 20}", "[::1]", "\x00"),
    ],
)
def test_a_malformed_site(internet: Internet, site: str) -> None:
    """MALFORMED_FIELD, naming it, without a call; the message has nothing of it."""
    with pytest.raises(InvalidCredentials) as caught:
        GhostPlatform(internet.context()).tidy(Credentials(site=site, apiKey=KEY))
    _check_malformed(caught.value, "site")


@pytest.mark.parametrize(
    "api_key",
    [
        *(" ", LONG, "x", KEY_ID, f"{KEY_ID}:", f":{SECRET}", f"{KEY_ID}{SECRET}", f"{KEY}0"),
        *(f"{KEY_ID}:{'g' * 64}", f"{KEY_ID}::{SECRET}", f"{KEY_ID}: {SECRET}", "0" * 26),
        *(f"<{KEY}>", f"{KEY_ID}\n:{SECRET}", f"{KEY_ID}:{SECRET[:-1]}\u0660"),
    ],
)
def test_a_malformed_key(internet: Internet, api_key: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        GhostPlatform(internet.context()).tidy(Credentials(site=BLOG, apiKey=api_key))
    _check_malformed(caught.value, "api_key")


def _check_malformed(error: InvalidCredentials, field: str) -> None:
    assert error.cause is InvalidCredentialsCause.MALFORMED_FIELD
    assert [each.path for each in error.fields] == [f"credentials.{field}"]
    assert error.message == "Invalid Ghost credentials"


def test_a_key_is_tidied(internet: Internet) -> None:
    """Outer white space and invisible marks go; capitals are lowered, as the site stores them."""
    typed = Credentials(site=BLOG, apiKey=f" \u2060{KEY.upper()}\ufeff\n")
    assert GhostPlatform(internet.context()).tidy(typed)["apiKey"] == KEY


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_of_a_token_is_not_followed(
    internet: Internet, ghost: GhostPlatform, status: int
) -> None:
    internet.site(BLOG, SITE, stated())
    internet.site(ADMIN, USERS, PROVED)
    internet.site(BLOG, USERS, respond("", status=status, location=f"https://{ADMIN}{USERS}"))
    with pytest.raises(PlatformUnavailable):
        await ghost.log_in(Credentials(apiKey=KEY), ACCOUNT)
    assert {each.host for each in internet.web.requests} == {BLOG}


async def test_another_site_gets_no_token(internet: Internet, ghost: GhostPlatform) -> None:
    """One whose permanent id is not the account's, as when a domain was sold."""
    internet.site(BLOG, SITE, stated(site_uuid="another"))
    internet.site(BLOG, USERS, PROVED)
    for ask in (ghost.log_in_again(KEY, ACCOUNT), ghost.resolve_account(ACCOUNT)):
        with pytest.raises(PlatformUnavailable):
            await ask
    assert await ghost.account_status(ACCOUNT) is AccountStatus.UNKNOWN
    assert internet.web.times(USERS) == 0


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (stated(), AccountStatus.ACTIVE),
        (stated(site_uuid=None), AccountStatus.UNKNOWN),
        (respond("<html>"), AccountStatus.UNKNOWN),
        (respond("", status=404), AccountStatus.NOT_FOUND),
        (respond("", status=410), AccountStatus.NOT_FOUND),
    ],
)
async def test_the_status(
    internet: Internet, ghost: GhostPlatform, answer: bytes, status: AccountStatus
) -> None:
    internet.site(BLOG, SITE, answer)
    assert await ghost.account_status(ACCOUNT) is status


async def test_a_site_that_moves(internet: Internet, ghost: GhostPlatform) -> None:
    """The directory names the new origin, to which the key's tokens may not go by themselves."""
    internet.site(BLOG, SITE, moved(f"https://{ADMIN}{SITE}"))
    internet.site(ADMIN, SITE, stated(f"https://{ADMIN}/"))
    now = await ghost.resolve_account(ACCOUNT)
    assert now == Account(SITE_UUID, ADMIN, f"https://{ADMIN}")
    assert not ghost.may_share_credentials(ACCOUNT.origin, now.origin)


async def test_a_token_holds_no_secret(internet: Internet, ghost: GhostPlatform) -> None:
    """What is sent is the id, two times and the audience, signed; and only once a login."""
    internet.site(BLOG, SITE, stated())
    internet.site(BLOG, USERS, PROVED)
    login = await ghost.log_in(Credentials(apiKey=KEY), ACCOUNT)
    [asked] = [each for each in internet.web.requests if each.path == USERS]
    [authorization] = asked.values("authorization")
    head, claims, _ = authorization.removeprefix("Ghost ").split(".")
    assert json.loads(_decoded(head)) == {"alg": "HS256", "typ": "JWT", "kid": KEY_ID}
    assert json.loads(_decoded(claims)) == {"iat": NOW, "exp": NOW + 300, "aud": "/admin/"}
    assert all(SECRET not in f"{each.target}{each.headers}" for each in internet.web.requests)
    assert login.display_name == "T"
    for shown in (repr(login), repr(ghost.lend(login.session, ACCOUNT)), repr(AdminKey.parse(KEY))):
        assert SECRET not in shown
        assert authorization not in shown


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(f"{part}==")


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", 0),
        ("Fri, 15 Jan 2027 08:10:00 GMT", 600),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 15 Jan 2037 08:00:00 GMT", 900),
        ("yesterday", 0),
        ("Fri, 15 Jan 99999 08:00:00 GMT", 0),
        ("", 0),
    ],
)
async def test_the_time_to_sign(
    internet: Internet, ghost: GhostPlatform, date: str, ahead: int
) -> None:
    """The site's, if it is ahead: by at most a quarter of an hour, since it prolongs a token."""
    body = {"site": {"version": "6.65", "site_uuid": SITE_UUID, "url": f"https://{BLOG}/"}}
    internet.site(BLOG, SITE, respond(body, date=date))
    internet.site(BLOG, USERS, PROVED)
    login = await ghost.log_in(Credentials(apiKey=KEY), ACCOUNT)
    lease = ghost.lend(login.session, ACCOUNT)
    claims = json.loads(_decoded(lease.access_token.split(".")[1]))
    assert claims["iat"] == NOW + ahead
    assert lease.expires_at == (NOW + 300) * SECOND
    assert ghost.was_lent(login.session, lease.access_token)
    assert answers.MAX_CLOCK_AHEAD == 900 * SECOND
