"""The whole story of a connection, by gRPC, at the stand-in and at a real WordPress."""

import base64
import json
from pathlib import Path

import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.platform_service_pb2 import LENT_SESSION
from service.domain.model import SECOND
from tests.conftest import tool
from tests.support.running import MovedClock, Running, running
from tests.wordpress.server import RealWordPress

from .conftest import settings
from .connected import (
    HEALTHY,
    HOUR,
    MINUTE,
    UNVERIFIED,
    Connected,
    broken,
    cause,
    connect,
    publish,
    refused,
)
from .sites import MAIN_PASSWORD, AnySite, Real

WRONG = "wrongWRONG01234567890123"


async def test_connect_lease_post_disconnect(
    service: Running, site: AnySite, clock: MovedClock
) -> None:
    """A lease posts; a disconnect leaves at the site what was there before."""
    person = await site.person()
    connected = Connected(service, site, clock, person)
    reply = await connected.connect()
    host = site.origin.partition("://")[2]
    assert (reply.platform, reply.username) == ("wordpress", f"{person.login}@{host}")
    lease = await connected.lease()
    assert lease.account_id == f"{site.home}/?author={person.user_id}"
    assert lease.service_endpoint == f"{site.home}/wp-json"
    assert lease.lent == LENT_SESSION
    assert lease.access_token not in person.app_password.replace(" ", "")
    basic = base64.b64encode(f"{person.login}:{lease.access_token}".encode()).decode()
    assert lease.authorization == f"Basic {basic}"
    left = lease.expires_at.ToMicroseconds() - clock.now()
    assert 10 * MINUTE < left <= HOUR
    assert (await publish(lease, "Hello")).status_code == 201
    assert await site.posts(person) == ["Hello"]
    assert await connected.verdict() == HEALTHY
    profile = await service.profiles.GetProfile(
        pb.GetProfileRequest(profile_key=connected.key), metadata=service.metadata()
    )
    [connection] = profile.profile.connected_platforms
    assert connection.display_name == person.login.capitalize()
    await connected.disconnect()
    await connected.until_ours(0)
    assert await site.names(person.login) == {person.uuid: "pasted"}
    assert (await publish(lease, "Hello again")).status_code == 401


async def test_wrong_credentials(service: Running, site: AnySite, clock: MovedClock) -> None:
    """Every refusal is the same, and leaves nothing at the site."""
    person = await site.person()
    for username, password in (
        (person.login, WRONG),
        ("unknown", person.app_password),
        (person.login, MAIN_PASSWORD),
    ):
        assert await cause(service, site.home, username, password) == "REJECTED_BY_PLATFORM"
        clock.ahead += HOUR  # the site's limit of rejections
    assert await site.names(person.login) == {person.uuid: "pasted"}
    assert service.rows("SELECT * FROM connections") == []


async def test_an_email_address_names_the_same_account(service: Running, site: AnySite) -> None:
    """So do capitals: the login name of the site's answer counts."""
    person = await site.person()
    first = await connect(service, site.home, person.login.upper(), person.app_password)
    email = f"{person.login}@example.com"
    again = await connect(
        service, site.home, email, person.app_password, profile_key=first.profile_key
    )
    assert again == first
    [row] = service.rows("SELECT account_id, username FROM connections")
    assert row["account_id"] == f"{site.home}/?author={person.user_id}"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [("switched-off", "SWITCHED_OFF"), ("switched-off-for-users", "REJECTED_BY_PLATFORM")],
)
async def test_connecting_where_it_is_switched_off(
    service: Running, site: AnySite, plugin: str, expected: str
) -> None:
    """The index says so for the site; for one user, nothing does."""
    person = await site.person()
    await site.plug(plugin)
    assert await cause(service, site.home, person.login, person.app_password) == expected
    debits = service.rows("SELECT * FROM login_debits WHERE account_id <> origin")
    assert len(debits) == (0 if plugin == "switched-off" else 1)


async def test_connecting_with_a_main_password(service: Running, site: AnySite) -> None:
    """That a plugin lets in: it is refused, before anything is made."""
    person = await site.person()
    await site.plug("main-password")
    assert await cause(service, site.home, person.login, MAIN_PASSWORD) == "MAIN_PASSWORD"
    assert await site.names(person.login) == {person.uuid: "pasted"}


async def test_connecting_one_who_may_not_publish(service: Running, site: AnySite) -> None:
    """Before anything is made."""
    person = await site.person("subscriber")
    assert await cause(service, site.home, person.login, person.app_password) == "NOT_PERMITTED"
    assert await site.names(person.login) == {person.uuid: "pasted"}


async def test_revoked_while_a_session_stands(connected: Connected) -> None:
    """Proved at once, without a login, and nothing of ours is left at the site."""
    site, person = connected.site, connected.person
    await site.revoke(person)
    assert await connected.verdict(SECOND) == broken("APP_PASSWORD_REVOKED")
    await connected.until_ours(0)
    assert await site.names(person.login) == {}
    refusal = await connected.service.lease_refused(connected.key, platform="wordpress")
    assert refusal.metadata["reconnectReason"] == "APP_PASSWORD_REVOKED"
    password, _ = await site.mint(person.login, "pasted again")
    await connect(connected.service, site.home, person.login, password, profile_key=connected.key)
    assert await connected.verdict() == HEALTHY
    assert (await publish(await connected.lease(), "Back")).status_code == 201
    assert connected.events == ["CONNECTED", "BROKEN", "RECONNECTED"]


async def test_revoked_without_a_session(connected: Connected) -> None:
    """Two refusals are proof, an hour apart; one is a doubt."""
    await connected.site.revoke(connected.person)
    await connected.site.end_session(connected.person)
    assert await connected.verdict() == UNVERIFIED
    assert await connected.verdict(30 * MINUTE) == UNVERIFIED
    assert await connected.verdict(31 * MINUTE) == broken("APP_PASSWORD_REVOKED")


async def test_revoked_in_words(connected: Connected) -> None:
    """Where a plugin makes the site tell, one refusal is proof."""
    await connected.site.revoke(connected.person)
    await connected.site.end_session(connected.person)
    await connected.site.plug("early-login")
    assert await connected.verdict() == broken("APP_PASSWORD_REVOKED")


async def test_a_user_who_is_gone(connected: Connected) -> None:
    """As one whose password was revoked: core's answers are the same."""
    await connected.site.delete(connected.person)
    assert await connected.verdict() == UNVERIFIED
    assert await connected.verdict() == broken("APP_PASSWORD_REVOKED")


async def test_a_session_that_its_owner_ends(connected: Connected) -> None:
    """One login makes the next; nobody is told."""
    for _ in range(3):
        await connected.site.end_session(connected.person)
        assert await connected.verdict(25 * HOUR) == HEALTHY
        assert len(await connected.ours()) == 1
    assert connected.events == ["CONNECTED"]


async def test_switched_off_and_on(connected: Connected) -> None:
    """The index proves it, and its end; no login is spent meanwhile."""
    await connected.site.plug("switched-off")
    for _ in range(3):
        assert await connected.verdict() == broken("CREDENTIALS_SWITCHED_OFF")
    debits = connected.service.rows("SELECT * FROM login_debits")
    await connected.site.unplug()
    assert await connected.verdict() == HEALTHY
    assert connected.service.rows("SELECT * FROM login_debits") == debits
    assert connected.events == ["CONNECTED", "BROKEN", "RECOVERED"]


async def test_demoted_and_promoted(connected: Connected) -> None:
    """Who may no longer publish is said so by the site itself."""
    await connected.site.set_role(connected.person, "subscriber")
    assert await connected.verdict() == broken("PERMISSION_LOST")
    await connected.site.end_session(connected.person)
    assert await connected.verdict() == broken("PERMISSION_LOST")
    assert await connected.ours() == set()
    await connected.site.set_role(connected.person, "author")
    assert await connected.verdict(25 * HOUR) == HEALTHY
    assert (await publish(await connected.lease(), "Back")).status_code == 201


@pytest.mark.parametrize("plugin", ["firewall", "no-user-routes", "maintenance"])
@pytest.mark.parametrize("has_session", [True, False])
async def test_outages_prove_nothing(connected: Connected, plugin: str, has_session: bool) -> None:
    """However long they last, with a session or without; all is well after them."""
    if not has_session:
        await connected.site.end_session(connected.person)
    if plugin == "maintenance":
        await connected.site.set_maintenance(True)
    else:
        await connected.site.plug(plugin)
    for _ in range(5):
        assert await connected.verdict(7 * HOUR) == UNVERIFIED
    refusal = await connected.service.lease_refused(connected.key, platform="wordpress")
    assert refusal.reason in ("PLATFORM_UNAVAILABLE", "RATE_LIMIT_EXCEEDED"), refusal
    await connected.site.unplug()
    await connected.site.set_maintenance(False)
    assert await connected.verdict(25 * HOUR) == HEALTHY
    assert (await publish(await connected.lease(), "Back")).status_code == 201


async def test_a_database_that_is_away(
    real_wordpress: RealWordPress, database: Path, clock: MovedClock
) -> None:
    """Of the real one alone: pages with status 500."""
    site = Real(real_wordpress)
    async with running(database, settings(site.origin), clock) as service:
        connected = Connected(service, site, clock, await site.person())
        await connected.connect()
        real_wordpress.set_database(False)
        try:
            for _ in range(3):
                assert await connected.verdict(7 * HOUR) == UNVERIFIED
        finally:
            real_wordpress.set_database(True)
        assert await connected.verdict(25 * HOUR) == HEALTHY


@pytest.mark.real
async def test_a_real_site_in_a_folder(database: Path, clock: MovedClock) -> None:
    """The folder is part of the account and of the endpoint."""
    with RealWordPress.started(tool("tests/wordpress/install"), "/blog") as installed:
        site = Real(installed)
        person = await site.person()
        async with running(database, settings(site.origin), clock) as service:
            elsewhere = f"{site.home}/2026/a-post/"
            refusal = await refused(service, elsewhere, person.login, person.app_password)
            assert refusal.metadata["redirectsTo"] == site.home
            connected = Connected(service, site, clock, person)
            await connected.connect()
            lease = await connected.lease()
            assert lease.service_endpoint == f"{site.home}/wp-json"
            assert (await publish(lease, "In a folder")).status_code == 201
            assert await connected.verdict() == HEALTHY
            await connected.disconnect()
            await connected.until_ours(0)


async def test_a_connect_where_the_api_is_closed_to_strangers(
    service: Running, site: AnySite
) -> None:
    """Each answer of the API names the site's address, of a rejection too."""
    person = await site.person()
    await site.plug("closed")
    assert await cause(service, site.home, person.login, WRONG) == "REJECTED_BY_PLATFORM"
    reply = await connect(service, site.home, person.login, person.app_password)
    lease = await service.lease(reply.profile_key, platform="wordpress")
    assert lease.service_endpoint == f"{site.home}/wp-json"
    assert (await publish(lease, "From inside")).status_code == 201


async def test_an_api_that_is_closed_to_strangers(connected: Connected) -> None:
    """The session works, and no login is needed; without one, nothing is proved."""
    await connected.site.plug("closed")
    for _ in range(3):
        assert await connected.verdict(25 * HOUR) == HEALTHY
    assert (await publish(await connected.lease(), "From inside")).status_code == 201
    await connected.site.end_session(connected.person)
    await connected.site.revoke(connected.person)
    for _ in range(4):
        assert await connected.verdict(25 * HOUR) == UNVERIFIED


async def test_a_proxy_that_removes_the_header(connected: Connected) -> None:
    """One refusal is no proof, and the end of it heals."""
    await connected.site.plug("no-header")
    assert await connected.verdict() == UNVERIFIED
    await connected.site.unplug()
    assert await connected.verdict(2 * HOUR) == HEALTHY


async def test_leases_of_a_day(connected: Connected) -> None:
    """The session is renewed before it ends; at most two of ours are at the site."""
    lent = {}
    for _ in range(40):  # no check is due
        lease = await connected.lease()
        left = lease.expires_at.ToMicroseconds() - connected.clock.now()
        assert left >= 10 * MINUTE
        lent[lease.access_token] = lease
        connected.clock.ahead += 30 * MINUTE
    await connected.until_ours(2)
    # what was lent last still works, and so does the one before
    for lease in list(lent.values())[-2:]:
        assert (await publish(lease, "Still")).status_code == 201
    assert len(connected.service.rows("SELECT * FROM login_debits")) == 1
    await connected.disconnect()
    await connected.until_ours(0)


async def test_a_lease_that_the_site_refused(connected: Connected) -> None:
    """Its session is replaced by one login."""
    lease = await connected.lease()
    await connected.site.end_session(connected.person)
    assert (await publish(lease, "Lost")).status_code == 401
    connected.clock.ahead += 2 * MINUTE
    next_one = await connected.lease(rejected=lease.access_token)
    assert next_one.access_token != lease.access_token
    assert (await publish(next_one, "Found")).status_code == 201


async def test_leftovers_are_swept(connected: Connected) -> None:
    """What a crash left is deleted a day later; sessions of other profiles are not."""
    site, person = connected.site, connected.person
    other = Connected(connected.service, site, connected.clock, person)
    await other.connect()
    [theirs] = (await connected.ours()) - {_minted(connected)}
    # of another connect whose session was never saved
    lost = Connected(connected.service, site, connected.clock, person)
    await lost.connect()
    [leftover] = (await connected.ours()) - {_minted(connected), theirs}
    await site.age(person.login, leftover, 25 * 3600)
    await site.age(person.login, theirs, 20 * 3600)
    assert await connected.verdict() == HEALTHY
    await connected.until_ours(3)  # ours, our former one, theirs
    assert leftover not in await connected.ours()
    assert theirs in await connected.ours()
    assert person.uuid in await site.names(person.login)


def _minted(connected: Connected) -> str:
    return str(json.loads(connected.service.session(connected.key).refresh_token)["minted"])


async def test_plain_permalinks(service: Running, site: AnySite, clock: MovedClock) -> None:
    """The whole of it, where the API has no path of its own."""
    await site.set_plain(True)
    try:
        connected = Connected(service, site, clock, await site.person())
        await connected.connect()
        lease = await connected.lease()
        assert lease.service_endpoint == f"{site.home}/?rest_route="
        assert (await publish(lease, "Plain")).status_code == 201
        assert await connected.verdict() == HEALTHY
        await site.end_session(connected.person)
        assert await connected.verdict() == HEALTHY
        await site.revoke(connected.person)
        assert await connected.verdict() == broken("APP_PASSWORD_REVOKED")
        await connected.until_ours(0)
    finally:
        await site.set_plain(False)


async def test_the_login_budget_of_a_site(service: Running, site: AnySite) -> None:
    """Plugins lock an address out after four rejections, of any names: three are the most."""
    person = await site.person()
    for name in (person.login, "unknown"):
        assert await cause(service, site.home, name, WRONG) == "REJECTED_BY_PLATFORM"
    refusal = await refused(service, site.home, "another", WRONG)
    assert refusal.reason == "RATE_LIMIT_EXCEEDED"
    assert (refusal.retry_after or 0) > 3500
