"""Health: verdicts and their proofs, at the sandbox and the real server."""

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from service.domain.model import SECOND
from tests.connections import health_support as shared
from tests.connections.health_support import HEALTHY, HOUR, UNVERIFIED, Watched, broken, status_of
from tests.support.running import Running, refusal_of

where, engine, bluesky = shared.where, shared.engine, shared.bluesky
service, watched = shared.service, shared.watched


async def test_healthy(watched: Watched) -> None:
    """The proof is a successful refresh of an account that has not moved; no login is spent."""
    connection = await watched.service.verify(watched.key)
    assert status_of(connection) == HEALTHY
    assert connection.last_verified_at.ToMicroseconds() > connection.connected_at.ToMicroseconds()
    assert (await watched.spent(), watched.events()) == (0, [])


async def test_rounds_of_a_healthy_connection(watched: Watched) -> None:
    """Days of checks cost no login, write no event, and read the document once a day."""
    for _ in range(12):
        assert await watched.verdict(6 * HOUR) == HEALTHY
    assert (await watched.spent(), watched.events()) == (0, [])
    assert watched.clock.now() - watched.row["document_at"] <= 24 * HOUR


async def test_a_revoked_app_password(watched: Watched) -> None:
    """One login proves it. The profile has the flag, the reason and the date."""
    await watched.bluesky.revoke(watched.person)
    connection = await watched.service.verify(watched.key)
    assert status_of(connection) == broken("APP_PASSWORD_REVOKED")
    assert connection.last_verified_at.ToMicroseconds() > connection.connected_at.ToMicroseconds()
    assert (await watched.spent(), watched.events()) == (1, ["BROKEN"])
    refusal = await watched.service.lease_refused(watched.key)
    assert refusal.reason == "NEEDS_RECONNECT"
    assert refusal.metadata["reconnectReason"] == "APP_PASSWORD_REVOKED"
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_rejected_password_backs_off(watched: Watched) -> None:
    """Its next login waits 1, 6, then 24 hours, independent of the number of checks."""
    await watched.bluesky.revoke(watched.person)
    minute = HOUR // 60
    for wait, spent in ((0, 1), (59, 1), (2, 2), (5 * 60, 2), (61, 3), (23 * 60, 3), (61, 4)):
        assert await watched.verdict(wait * minute + SECOND) == broken("APP_PASSWORD_REVOKED")
        assert await watched.spent() == spent, wait
    assert watched.events() == ["BROKEN"]


async def test_a_reconnect_heals(watched: Watched) -> None:
    """With a new app password, flag and backoff of the old one are cleared."""
    await watched.bluesky.revoke(watched.person)
    assert await watched.verdict() == broken("APP_PASSWORD_REVOKED")
    fresh = await watched.bluesky.app_password(watched.person, "fresh")
    await watched.service.connect(watched.person.handle, fresh, profile_key=watched.key)
    assert await watched.verdict() == HEALTHY
    assert watched.events() == ["BROKEN", "RECONNECTED"]
    assert (watched.row["refusals"], watched.row["login_after"]) == (0, None)


async def test_a_changed_main_password_causes_no_event(watched: Watched) -> None:
    """It ends every session but no app password: one login restores it, without an event."""
    await watched.bluesky.change_password(watched.person, "another main password")
    assert await watched.verdict() == HEALTHY
    assert (await watched.spent(), watched.events()) == (1, [])


async def test_a_takedown_and_its_end(watched: Watched) -> None:
    """The account status proves the takedown without a login. Its end costs one login and no call
    of the owner's."""
    await watched.bluesky.take_down(watched.person)
    for _ in range(3):
        assert await watched.verdict() == broken("ACCOUNT_TAKEN_DOWN")
    assert await watched.spent() == 0
    await watched.bluesky.lift(watched.person)
    assert await watched.verdict() == HEALTHY
    assert (await watched.spent(), watched.events()) == (1, ["BROKEN", "RECOVERED"])


async def test_a_deactivation_and_its_end(watched: Watched) -> None:
    """Refreshes still succeed meanwhile, but are no proof of health. Its end costs no login."""
    await watched.bluesky.deactivate(watched.person)
    for _ in range(3):
        assert await watched.verdict() == broken("ACCOUNT_DEACTIVATED")
    refusal = await watched.service.lease_refused(watched.key)
    assert refusal.metadata["reconnectReason"] == "ACCOUNT_DEACTIVATED"
    await watched.bluesky.activate(watched.person)
    assert await watched.verdict() == HEALTHY
    assert (await watched.spent(), watched.events()) == (0, ["BROKEN", "RECOVERED"])


async def test_a_lease_finds_a_deactivation(watched: Watched) -> None:
    """The first lease reports it, and the profile shows it."""
    await watched.bluesky.deactivate(watched.person)
    watched.clock.ahead += 2 * HOUR
    refusal = await watched.service.lease_refused(watched.key)
    assert refusal.metadata["reconnectReason"] == "ACCOUNT_DEACTIVATED"
    assert watched.events() == ["BROKEN"]


async def test_a_deleted_account(watched: Watched) -> None:
    """The proof: no repository at the server that the document names, and a rejected login."""
    await watched.bluesky.delete(watched.person)
    assert await watched.verdict() == broken("ACCOUNT_DELETED")
    assert await watched.verdict(25 * HOUR) == broken("ACCOUNT_DELETED")
    assert (await watched.spent(), watched.events()) == (1, ["BROKEN"])


async def test_an_ended_did(watched: Watched) -> None:
    """A tombstone in the directory is proof by itself, even if the server disagrees."""
    await watched.bluesky.tombstone(watched.person)
    assert await watched.verdict(25 * HOUR) == broken("ACCOUNT_DELETED")
    assert (await watched.spent(), watched.events()) == (0, ["BROKEN"])


async def test_a_changed_handle(watched: Watched) -> None:
    """The connection adopts it within a day; nothing else changes."""
    handle = f"new-{watched.person.handle}"
    await watched.bluesky.rename(watched.person, handle)
    assert await watched.verdict(25 * HOUR) == HEALTHY
    connection = await watched.service.verify(watched.key)
    assert (connection.username, connection.display_name) == (handle, handle)
    assert (await watched.spent(), watched.events()) == (0, ["HANDLE_CHANGED"])
    watched.clock.ahead = 0  # back to the server's time, since its tokens expire by that
    assert (await watched.service.lease(watched.key)).username == handle


@pytest.mark.parametrize("hours", [1, 25], ids=["document-fresh", "document-old"])
@pytest.mark.parametrize("revoked", [False, True], ids=["session-works", "session-dead"])
async def test_a_moved_account(watched: Watched, hours: int, revoked: bool) -> None:
    """Two sightings ten minutes apart prove it. The new server gets no password, and the old one no
    login."""
    if revoked:
        await watched.bluesky.revoke(watched.person)
    await watched.bluesky.migrate(watched.person)
    assert await watched.verdict(hours * HOUR) == UNVERIFIED
    assert watched.row["next_check_at"] - watched.clock.now() <= 10 * 60 * SECOND
    assert await watched.verdict(9 * 60 * SECOND) == UNVERIFIED
    assert await watched.verdict(61 * SECOND) == broken("SERVER_MOVED")
    assert await watched.verdict() == broken("SERVER_MOVED")
    assert (await watched.spent(), watched.events()) == (0, ["UNVERIFIED", "BROKEN"])


async def test_an_edited_row(watched: Watched) -> None:
    """A secret that does not open in its place is reported, and no request is sent."""
    before = await watched.bluesky.counts()
    await watched.service.execute("UPDATE connections SET origin = 'https://evil.example'")
    assert await watched.verdict() == broken("CREDENTIAL_UNREADABLE")
    assert watched.events() == ["BROKEN"]
    await watched.service.execute("UPDATE connections SET origin = ?", watched.bluesky.origin)
    assert await watched.bluesky.counts() == before
    assert await watched.verdict() == HEALTHY
    assert watched.events() == ["BROKEN", "RECOVERED"]


@pytest.mark.parametrize("table", ["connections", "credentials"])
async def test_an_edited_generation(watched: Watched, table: str) -> None:
    """It is reported at once, with an alarm in the log, like any other edited column."""
    [row] = watched.service.rows(f"SELECT generation FROM {table}")
    await watched.service.execute(f"UPDATE {table} SET generation = 8")
    with capture_logs() as lines:
        assert await watched.verdict() == broken("CREDENTIAL_UNREADABLE")
    [alarm] = [line for line in lines if line["log_level"] == "error"]
    assert (alarm["event"], alarm["purpose"]) == ("secret does not open", "credential")
    assert alarm["profile"] == watched.key
    await watched.service.execute(f"UPDATE {table} SET generation = ?", row["generation"])
    assert await watched.verdict() == HEALTHY


async def test_a_session_of_another_generation_is_replaced(watched: Watched) -> None:
    """This logs an alarm and costs one login by the password, which was not changed."""
    await watched.service.execute("UPDATE sessions SET generation = 8")
    with capture_logs() as lines:
        assert await watched.verdict() == HEALTHY
    alarms = [line["purpose"] for line in lines if line["log_level"] == "error"]
    assert alarms == ["session"]
    assert await watched.spent() == 1
    assert await watched.verdict() == HEALTHY
    assert await watched.spent() == 1


async def test_a_key_that_is_not_in_the_keyring_proves_nothing(watched: Watched) -> None:
    """It raises an alarm and INTERNAL, and the connection stays unchanged."""
    await watched.service.execute("UPDATE credentials SET ring_key_id = 'seal-of-another-keyring'")
    before = watched.row
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watched.verdict()
    assert refusal_of(caught.value).reason == "INTERNAL"
    assert (watched.row, watched.events()) == (before, [])


async def test_a_spent_budget_is_no_proof(watched: Watched) -> None:
    """Guesses spend the budget of connects, then checks spend the reserve; neither raises the
    flag."""
    for _ in range(4):
        await watched.service.refused(watched.person.handle, "abcd-efgh-ijkl-mnop")
    for turn in range(6):
        await watched.bluesky.change_password(watched.person, f"main password {turn}")
        assert await watched.verdict(61 * SECOND) in (HEALTHY, UNVERIFIED)
        # a refresh if the session was replaced: without one, the next login would back off
        assert await watched.verdict(3 * SECOND) in (HEALTHY, UNVERIFIED)
    assert await watched.spent() <= 10
    assert await watched.verdict(6 * 60 * SECOND) == HEALTHY
    assert "BROKEN" not in watched.events()


@pytest.mark.parametrize(
    ("profile_key", "platform", "reason"),
    [
        ("", "bluesky", "INVALID_REQUEST"),
        ("prof_abc", "", "INVALID_REQUEST"),
        ("prof_absent", "bluesky", "PROFILE_NOT_FOUND"),
        ("no key", "bluesky", "PROFILE_NOT_FOUND"),
    ],
)
async def test_a_check_of_a_missing_profile(
    service: Running, profile_key: str, platform: str, reason: str
) -> None:
    """It is rejected like any other call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.verify(profile_key, platform=platform)
    assert refusal_of(caught.value).reason == reason


async def test_a_check_of_an_unconnected_platform(watched: Watched) -> None:
    """It is PLATFORM_NOT_CONNECTED; another tenant's profile is PROFILE_NOT_FOUND."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watched.service.verify(await watched.service.new_profile())
    assert refusal_of(caught.value).reason == "PLATFORM_NOT_CONNECTED"
    stranger, _ = await watched.service.new_key(tenant_id=await watched.service.new_tenant())
    watched.service.api_key = stranger
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watched.service.verify(watched.key)
    assert refusal_of(caught.value).reason == "PROFILE_NOT_FOUND"
