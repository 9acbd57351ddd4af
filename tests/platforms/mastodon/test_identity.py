"""Which server gets the token: the one that the handle proves, and no other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import HTMLResponse

from service.domain.model import DAY, SECOND
from tests.support.running import MovedClock, Running, running

from .conftest import settings, standing_in
from .connected import HEALTHY, HOUR, MINUTE, UNVERIFIED, Connected, cause, connect, refused
from .servers import STATUSES, VERIFY, Person, StandIn


@pytest.fixture
async def other() -> AsyncIterator[StandIn]:
    """A second server."""
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def both(
    mastodon: StandIn, other: StandIn, database: Path, clock: MovedClock
) -> AsyncIterator[Running]:
    """The whole service, which may reach both."""
    async with running(database, settings(mastodon.origin, other.origin), clock) as started:
        yield started


def received(*servers: StandIn) -> int:
    """Count the requests that may have carried a token."""
    return sum(
        count
        for server in servers
        for call, count in server.site.counts.items()
        if call.endswith(("verify_credentials", STATUSES))
    )


def split(domain: StandIn, server: StandIn, person: Person) -> str:
    """Let handles of *server* be at another *domain*; return the person's."""
    domain.site.webfinger_at = server.origin
    server.site.local_domain = domain.host
    return f"{person.name}@{domain.host}"


async def test_a_handle_of_another_domain(both: Running, mastodon: StandIn, other: StandIn) -> None:
    """It is the name, also for one who types the server's; the token goes to the server."""
    person = await other.person()
    handle = split(mastodon, other, person)
    for typed in (handle, f"{person.name}@{other.host}"):
        reply = await connect(both, typed, person.token)
        assert reply.username == handle
    for row in both.rows("SELECT account_id, origin FROM connections"):
        assert (row["account_id"], row["origin"]) == (person.actor, other.origin)
    assert received(mastodon) == 0


async def test_a_handle_whose_domain_is_lost(
    both: Running, mastodon: StandIn, other: StandIn, clock: MovedClock
) -> None:
    """Its server still proves the token."""
    person = await other.person()
    handle = split(mastodon, other, person)
    reply = await connect(both, handle, person.token)
    mastodon.site.webfinger_at = ""
    connected = Connected(both, other, clock, person, reply.profile_key)
    assert await connected.verdict(2 * DAY) == HEALTHY


async def test_a_domain_that_claims_a_foreign_account(
    both: Running, mastodon: StandIn, other: StandIn
) -> None:
    """The account's server does not name the domain: there is no such handle."""
    person, victim = await mastodon.person(), await other.person()
    for actor in (victim.actor, f"{other.origin}/users/{person.name}"):
        mastodon.site.stated = {"self": actor}
        assert await cause(both, person.handle, victim.token) == "HANDLE_NOT_FOUND"
    # not even under the same name
    other.site.users[person.name] = other.site.users[victim.name]
    assert await cause(both, person.handle, victim.token) == "HANDLE_NOT_FOUND"
    assert received(mastodon, other) == 0


async def test_webfinger_that_states_another_handle(
    both: Running, mastodon: StandIn, other: StandIn
) -> None:
    """It has to state itself, with the same actor."""
    person, victim = await mastodon.person(), await other.person()
    for subject in (
        f"acct:{victim.handle}",
        f"acct:{person.name}@{other.host}",
        f"acct:unknown@{mastodon.host}",
        "acct:nothing",
        "acct:alice@127.0.0.1",
    ):
        mastodon.site.stated = {"subject": subject}
        assert await cause(both, person.handle, person.token) == "HANDLE_NOT_FOUND"
    assert received(mastodon, other) == 0


@pytest.mark.parametrize(
    "actor",
    [
        "http://127.0.0.1:1/users/alice",
        "https://127.0.0.1/users/alice",
        "https://10.0.0.1/users/alice",
        "https://[::1]/users/alice",
        "https://localhost/users/alice",
        "https://example.social:8443/users/alice",
        "http://example.social/users/alice",
        "https://user:password@example.social/users/alice",
        "file:///etc/passwd",
        "nothing",
    ],
)
async def test_webfinger_that_names_a_private_actor(
    service: Running, mastodon: StandIn, actor: str
) -> None:
    """It is not reached."""
    person = await mastodon.person()
    mastodon.site.stated = {"self": actor}
    refusal = await refused(service, person.handle, person.token)
    assert refusal.reason == "PLATFORM_UNAVAILABLE" or (
        refusal.metadata.get("cause") == "HANDLE_NOT_FOUND"
    )
    assert received(mastodon) == 0


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("{origin}", "UNEXPECTED_ANSWER"),
        ("http://127.0.0.1:1", "ADDRESS_NOT_ALLOWED"),
        ("https://10.0.0.1", "ADDRESS_NOT_ALLOWED"),
    ],
)
async def test_webfinger_that_redirects(
    service: Running, mastodon: StandIn, target: str, expected: str
) -> None:
    """To itself without end, or to a private address."""
    person = await mastodon.person()
    mastodon.site.webfinger_at = target.format(origin=mastodon.origin)
    refusal = await refused(service, person.handle, person.token)
    assert (refusal.reason, refusal.metadata["cause"]) == ("PLATFORM_UNAVAILABLE", expected)
    assert mastodon.site.counts["GET /.well-known/webfinger"] <= 4
    assert received(mastodon) == 0


@pytest.mark.parametrize(
    "stated",
    [
        {"id": "https://example.social/users/alice"},
        {"id": ""},
        {"preferredUsername": "somebody"},
        {"preferredUsername": ""},
        {"self": "{origin}/.well-known/webfinger?resource=acct:{handle}"},
        {"self": "{origin}/users/unknown"},
    ],
)
async def test_an_actor_that_does_not_name_itself(
    service: Running, mastodon: StandIn, stated: dict[str, str]
) -> None:
    """There is no such handle."""
    person = await mastodon.person()
    mastodon.site.stated = {
        key: value.format(origin=mastodon.origin, handle=person.handle)
        for key, value in stated.items()
    }
    assert await cause(service, person.handle, person.token) == "HANDLE_NOT_FOUND"
    assert received(mastodon) == 0


async def test_a_server_that_shows_actors_to_servers_alone(
    service: Running, mastodon: StandIn, clock: MovedClock
) -> None:
    """Its webfinger is proof enough, of a revoked token too."""
    person = await mastodon.person()
    mastodon.site.wants_signatures = True
    reply = await connect(service, person.handle, person.token)
    connected = Connected(service, mastodon, clock, person, reply.profile_key)
    mastodon.site.change("revoke", person.name)
    assert await connected.verdict() == ("BROKEN", "APP_PASSWORD_REVOKED")


async def test_a_proxys_page_instead_of_an_actor(
    service: Running, mastodon: StandIn, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the status of a server that wants signatures: it does not show that the account is
    active."""
    person = await mastodon.person()
    reply = await connect(service, person.handle, person.token)
    connected = Connected(service, mastodon, clock, person, reply.profile_key)
    mastodon.site.change("revoke", person.name)
    page = HTMLResponse("<title>Please log in</title>", 401)
    monkeypatch.setattr(mastodon.site, "_actor_of", lambda _: page)
    for _ in range(3):
        assert await connected.verdict(25 * HOUR) == UNVERIFIED
    monkeypatch.undo()
    assert await connected.verdict(25 * HOUR) == ("BROKEN", "APP_PASSWORD_REVOKED")


async def test_a_server_whose_accounts_state_no_uri(service: Running, mastodon: StandIn) -> None:
    """Mastodon before 4.2: the name counts."""
    person, other_person = await mastodon.person(), await mastodon.person()
    mastodon.site.has_uri = False
    assert await cause(service, person.handle, other_person.token) == "REJECTED_BY_PLATFORM"
    reply = await connect(service, person.handle, person.token)
    assert reply.username == person.handle


async def test_an_account_that_moved_to_another_server(
    both: Running, mastodon: StandIn, other: StandIn, clock: MovedClock
) -> None:
    """After ten minutes it is proved. The token is not sent to the new server."""
    person = await mastodon.person()
    reply = await connect(both, person.handle, person.token)
    connected = Connected(both, mastodon, clock, person, reply.profile_key)
    other.site.users[person.name] = mastodon.site.users[person.name]
    split(mastodon, other, person)
    assert await connected.verdict(2 * DAY) == UNVERIFIED
    assert await connected.verdict(9 * MINUTE) == UNVERIFIED
    assert await connected.verdict(MINUTE + 3 * SECOND) == ("BROKEN", "SERVER_MOVED")
    assert received(other) == 0
    mastodon.site.webfinger_at = ""
    assert await connected.verdict(2 * DAY) == HEALTHY


async def test_another_account_under_the_same_handle(
    service: Running, mastodon: StandIn, clock: MovedClock
) -> None:
    """A server that was set up again has new actors: what it rejects proves nothing."""
    person = await mastodon.person()
    reply = await connect(service, person.handle, person.token)
    connected = Connected(service, mastodon, clock, person, reply.profile_key)
    actor = f"{mastodon.origin}/users/alice"
    mastodon.site.stated = {"self": actor, "id": actor, "preferredUsername": person.name}
    mastodon.site.change("revoke", person.name)
    for _ in range(3):
        assert await connected.verdict(25 * 60 * MINUTE) == UNVERIFIED
    assert mastodon.site.counts[f"GET {VERIFY}"] <= 8


async def test_an_api_that_redirects(both: Running, mastodon: StandIn, other: StandIn) -> None:
    """A token follows no redirect."""
    person = await mastodon.person()
    mastodon.site.api_at = other.origin
    refusal = await refused(both, person.handle, person.token)
    assert (refusal.reason, refusal.metadata["step"]) == ("PLATFORM_UNAVAILABLE", "SERVER")
    assert other.site.counts.total() == 0
