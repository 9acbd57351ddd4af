"""The whole story of a connection, by gRPC."""

import asyncio

import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.platform_service_pb2 import LENT_CREDENTIAL
from service.domain.model import SECOND, Account
from service.platforms.egress.context import EgressContext
from service.platforms.mastodon import adapter
from service.platforms.mastodon.adapter import MastodonPlatform
from service.sandbox.sites.mastodon import Token
from tests.support.running import Running

from .connected import (
    HEALTHY,
    HOUR,
    MINUTE,
    REVOKED,
    UNVERIFIED,
    Connected,
    cause,
    connect,
    publish,
    refused,
)
from .servers import VERIFY, StandIn, ask

WRONG = "wrong0123456789wrong0123456789"


async def test_connect_lease_post_disconnect(elsewhere: Connected) -> None:
    """At snac: a lease posts, with the pasted token; a disconnect leaves the token as it was."""
    service, person = elsewhere.service, elsewhere.person
    lease = await elsewhere.lease()
    assert (lease.access_token, lease.authorization) == (person.token, f"Bearer {person.token}")
    assert (lease.account_id, lease.username) == (person.actor, person.handle)
    assert lease.service_endpoint == elsewhere.server.origin
    assert lease.lent == LENT_CREDENTIAL
    assert not lease.HasField("expires_at")
    posted = await publish(lease, "Hello by a lease")
    assert posted.status_code == 200
    assert "Hello by a lease" in posted.json()["content"]
    assert await elsewhere.verdict() == HEALTHY
    profile = await service.profiles.GetProfile(
        pb.GetProfileRequest(profile_key=elsewhere.key), metadata=service.metadata()
    )
    [connection] = profile.profile.connected_platforms
    assert (connection.username, connection.display_name) == (person.handle, person.name)
    await elsewhere.disconnect()
    assert service.rows("SELECT * FROM credentials") == service.rows("SELECT * FROM sessions") == []
    assert (await elsewhere.lease_refused()).reason == "PLATFORM_NOT_CONNECTED"
    answer = await ask(f"{elsewhere.server.origin}{VERIFY}", person.token)
    assert answer.status_code == 200


async def test_a_removed_token_takes_two_refusals(elsewhere: Connected) -> None:
    """Snac says the same of every fault, so one refusal is a doubt; an hour later it is proof."""
    await elsewhere.server.remove(elsewhere.person.token)
    assert await elsewhere.verdict(MINUTE) == UNVERIFIED
    assert await elsewhere.verdict(30 * MINUTE) == UNVERIFIED
    assert await elsewhere.verdict(31 * MINUTE) == REVOKED
    refusal = await elsewhere.lease_refused()
    assert refusal.metadata["reconnectReason"] == "APP_PASSWORD_REVOKED"
    await elsewhere.connect(await elsewhere.server.mint(elsewhere.person))
    assert await elsewhere.verdict() == HEALTHY
    assert (await publish(await elsewhere.lease(), "Back")).status_code == 200
    assert elsewhere.events == ["CONNECTED", "UNVERIFIED", "BROKEN", "RECONNECTED"]


async def test_a_deleted_account(elsewhere: Connected) -> None:
    """No handle, no actor and no token: it is gone."""
    await elsewhere.server.delete(elsewhere.person)
    assert await elsewhere.verdict() == ("BROKEN", "ACCOUNT_DELETED")


async def test_wrong_credentials(elsewhere: Connected) -> None:
    """An unknown token, one of another account, and a handle that does not exist."""
    service, person = elsewhere.service, elsewhere.person
    other = await elsewhere.server.person()
    for token in (WRONG, other.token):
        assert await cause(service, person.handle, token) == "REJECTED_BY_PLATFORM"
    unknown = f"unknown@{elsewhere.server.host}"
    assert await cause(service, unknown, person.token) == "HANDLE_NOT_FOUND"
    assert len(service.rows("SELECT * FROM connections")) == 1


async def test_a_token_that_was_revoked_is_proved_at_once(connected: Connected) -> None:
    """In Mastodon's words, of an account that is there before and after; no login is spent."""
    assert isinstance(connected.server, StandIn)
    debits = len(connected.service.rows("SELECT * FROM login_debits"))
    connected.server.site.change("revoke", connected.person.name)
    assert await connected.verdict(SECOND) == REVOKED
    assert len(connected.service.rows("SELECT * FROM login_debits")) == debits
    connected.server.site.change("restore", connected.person.name)
    assert await connected.verdict() == HEALTHY
    connected.server.site.change("revoke", connected.person.name)
    assert await connected.verdict() == REVOKED
    token = await connected.server.mint(connected.person)
    await connected.connect(token)
    assert await connected.verdict() == HEALTHY
    assert (await connected.lease()).access_token == token
    assert connected.events == ["CONNECTED", "BROKEN", "RECOVERED", "BROKEN", "RECONNECTED"]


async def test_a_token_that_is_unknown_takes_two_refusals(connected: Connected) -> None:
    """Mastodon says the same if a proxy has removed the header."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change("regenerate", connected.person.name)
    assert await connected.verdict(MINUTE) == UNVERIFIED
    assert await connected.verdict(30 * MINUTE) == UNVERIFIED
    assert await connected.verdict(31 * MINUTE) == REVOKED


async def test_a_revoked_token_of_an_account_that_is_not_shown(connected: Connected) -> None:
    """No proof while webfinger is away or the actor is hidden: the words alone are not enough."""
    assert isinstance(connected.server, StandIn)
    site, name = connected.server.site, connected.person.name
    site.change("revoke", name)
    site.webfinger_at = "http://127.0.0.1:1"
    assert await connected.verdict(3 * HOUR) == UNVERIFIED
    site.webfinger_at = ""
    site.change("hide", name)
    for _ in range(3):
        assert await connected.verdict(3 * HOUR) == UNVERIFIED
    site.change("show", name)
    assert await connected.verdict(25 * HOUR) == REVOKED


async def test_a_token_that_lost_its_scope(connected: Connected) -> None:
    """PERMISSION_LOST, which recovers by itself."""
    assert isinstance(connected.server, StandIn)
    [token] = [t for t in connected.server.site.tokens if t.value == connected.person.token]
    token.scopes = ("write",)
    assert await connected.verdict() == ("BROKEN", "PERMISSION_LOST")
    token.scopes = ("profile", "write")
    assert await connected.verdict() == HEALTHY


async def test_a_token_of_another_account(connected: Connected) -> None:
    """As after a server was restored: a refusal, and the second one is proof."""
    assert isinstance(connected.server, StandIn)
    [token] = [t for t in connected.server.site.tokens if t.value == connected.person.token]
    token.user = "alice"
    assert await connected.verdict() == UNVERIFIED
    assert await connected.verdict() == REVOKED


async def test_a_server_that_hangs_when_asked_for_scopes(
    service: Running, mastodon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connect does without the answer."""

    async def hang(self: MastodonPlatform, token: str, account: Account) -> bool:
        monkeypatch.undo()
        monkeypatch.setattr(adapter, "MAX_APPLICATION_SECONDS", 0.01)
        monkeypatch.setattr(EgressContext, "call", never)
        return await self._may_publish(token, account)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    person = await mastodon.person()
    monkeypatch.setattr(MastodonPlatform, "_may_publish", hang)
    assert (await connect(service, person.handle, person.token)).username == person.handle


async def test_a_header_that_was_dropped_for_a_while(connected: Connected) -> None:
    """No verdict, and the next check heals it."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change("drop-header", "")
    assert await connected.verdict(MINUTE) == UNVERIFIED
    connected.server.site.change("keep-header", "")
    assert await connected.verdict(MINUTE) == HEALTHY
    connected.server.site.change("drop-header", "")
    assert await connected.verdict(2 * HOUR) == UNVERIFIED  # the count began again
    connected.server.site.change("keep-header", "")
    assert await connected.verdict(2 * HOUR) == HEALTHY


async def test_an_account_that_was_deleted_for_good(connected: Connected) -> None:
    """410 of both the handle and the actor."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change("delete", connected.person.name)
    assert await connected.verdict() == ("BROKEN", "ACCOUNT_DELETED")
    assert await cause(connected.service, connected.person.handle, WRONG) == "HANDLE_NOT_FOUND"


@pytest.mark.parametrize(("change", "undo"), [("switch-off", "switch-on"), ("hide", "show")])
async def test_a_login_that_is_not_in_order(connected: Connected, change: str, undo: str) -> None:
    """No flag: the server says so to the owner alone. It recovers by itself."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change(change, connected.person.name)
    for _ in range(3):
        assert await connected.verdict(3 * HOUR) == UNVERIFIED
    connected.server.site.change(undo, connected.person.name)
    assert await connected.verdict(25 * HOUR) == HEALTHY
    assert (await connected.lease()).access_token == connected.person.token


@pytest.mark.parametrize(
    ("change", "reason", "metadata"),
    [
        ("switch-off", "ACCOUNT_INACTIVE", {"status": "suspended"}),
        ("hide", "ACCOUNT_INACTIVE", {"status": "suspended"}),
        ("move", "ACCOUNT_INACTIVE", {"status": "moved"}),
        ("revoke", "INVALID_CREDENTIALS", {"cause": "REJECTED_BY_PLATFORM"}),
        ("regenerate", "INVALID_CREDENTIALS", {"cause": "REJECTED_BY_PLATFORM"}),
        ("demote", "INVALID_CREDENTIALS", {"cause": "NOT_PERMITTED"}),
        ("delete", "INVALID_CREDENTIALS", {"cause": "HANDLE_NOT_FOUND"}),
        ("limit", "PLATFORM_RATE_LIMITED", {}),
    ],
)
async def test_connecting_an_account_that_is_not_in_order(
    service: Running, mastodon: StandIn, change: str, reason: str, metadata: dict[str, str]
) -> None:
    """Each by its reason, and nothing is stored."""
    person = await mastodon.person()
    mastodon.site.change(change, person.name)
    refusal = await refused(service, person.handle, person.token)
    assert refusal.reason == reason
    assert refusal.metadata == {"platform": "mastodon", **metadata}
    if reason == "PLATFORM_RATE_LIMITED":
        assert refusal.retry_after is not None
        assert 60 < refusal.retry_after <= 120  # X-RateLimit-Reset, in ISO 8601
    assert service.rows("SELECT * FROM connections") == []


@pytest.mark.parametrize(
    "problem",
    [
        "Your login is missing a confirmed e-mail address",
        "Your login is currently pending approval",
    ],
)
async def test_connecting_a_new_account(service: Running, mastodon: StandIn, problem: str) -> None:
    """One that its server has not let in yet."""
    person = await mastodon.person()
    mastodon.site.users[person.name].problem = problem
    refusal = await refused(service, person.handle, person.token)
    assert (refusal.reason, refusal.metadata["status"]) == ("ACCOUNT_INACTIVE", "suspended")


async def test_connecting_with_a_token_of_another_kind(service: Running, mastodon: StandIn) -> None:
    """One of the application alone has no user; one without the scope to read shows none."""
    person = await mastodon.person()
    mastodon.site.tokens += [Token("", WRONG), Token(person.name, f"{WRONG}0", ("write",))]
    assert await cause(service, person.handle, WRONG) == "REJECTED_BY_PLATFORM"
    assert await cause(service, person.handle, f"{WRONG}0") == "NOT_PERMITTED"


async def test_a_moved_account_keeps_its_connection(connected: Connected) -> None:
    """Without proof, since the account's owner can undo it; nothing is lent meanwhile."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.change("move", connected.person.name)
    assert await connected.verdict() == UNVERIFIED
    refusal = await connected.lease_refused(rejected=connected.person.token)
    assert refusal.reason in ("ACCOUNT_INACTIVE", "RATE_LIMIT_EXCEEDED")
    connected.server.site.users[connected.person.name].moved_to = ""
    assert await connected.verdict(25 * HOUR) == HEALTHY


STATUSES = (401, 403, 404, 410, 422, 429, 500, 502, 503)


@pytest.mark.parametrize("status", STATUSES)
async def test_an_outage_of_a_server_is_no_flag(connected: Connected, status: int) -> None:
    """Whatever the page's status is, and however often it is seen."""
    assert isinstance(connected.server, StandIn)
    connected.server.site.break_(status)
    for _ in range(3):
        assert await connected.verdict(3 * HOUR) == UNVERIFIED
    assert (await connected.lease()).access_token == connected.person.token
    connected.server.site.break_(None)
    # the wait after a 429 is by the loop's clock, which tests do not set
    assert await connected.verdict(25 * HOUR) == (UNVERIFIED if status == 429 else HEALTHY)
    assert "BROKEN" not in connected.events


@pytest.mark.parametrize("status", STATUSES)
async def test_connecting_at_a_server_that_is_away(
    service: Running, mastodon: StandIn, status: int
) -> None:
    """PLATFORM_UNAVAILABLE, unless the page says that there is no such handle."""
    person = await mastodon.person()
    mastodon.site.break_(status)
    refusal = await refused(service, person.handle, person.token)
    if status in (404, 410):
        assert refusal.metadata["cause"] == "HANDLE_NOT_FOUND"
    else:
        assert refusal.reason == "PLATFORM_UNAVAILABLE"
        assert refusal.metadata["step"] == "HANDLE"
        assert refusal.metadata["httpStatus"] == str(status)
    assert mastodon.site.counts[f"GET {VERIFY}"] == 0


async def test_a_server_that_is_stopped(connected: Connected) -> None:
    """No connection: a doubt, and the token is lent as before."""
    assert isinstance(connected.server, StandIn)
    port = int(connected.server.host.partition(":")[2])
    await connected.server.site.stop()
    assert await connected.verdict() == UNVERIFIED
    assert (await connected.lease()).access_token == connected.person.token
    await connected.server.site.start(port=port)
    assert await connected.verdict(25 * HOUR) == HEALTHY


async def test_the_same_account_by_its_profile_link(connected: Connected) -> None:
    """A reconnect by a link is of the same account."""
    link = f"{connected.server.origin}/@{connected.person.name}"
    reply = await connect(
        connected.service, link, connected.person.token, profile_key=connected.key
    )
    assert reply.username == connected.person.handle
    assert connected.events == ["CONNECTED", "RECONNECTED"]
