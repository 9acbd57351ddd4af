"""Leases: sessions on loan, counted at the server."""

import asyncio

import grpc
import httpx
import pytest

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from service.domain.model import SECOND, Scope
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.storage.connections import SqlConnections
from tests.conformance.real import Real
from tests.conformance.sandbox import Sandbox
from tests.connections import health_support
from tests.support.bluesky import SESSION, Person, is_live
from tests.support.leasing import MINUTE, Counted, Held, another_second, end_session
from tests.support.running import MovedClock, Running

EXPIRING = 115 * MINUTE
"""Advances the clock so that a token of two hours expires in five minutes."""


where, engine = health_support.where, health_support.engine
bluesky, service = health_support.bluesky, health_support.service


@pytest.fixture
async def person(bluesky: Sandbox | Real) -> Person:
    return await bluesky.person()


@pytest.fixture
async def key(service: Running, person: Person) -> str:
    """The key of the person's connected profile."""
    return (await service.connect(person.handle, person.app_password)).profile_key


@pytest.fixture
async def spent(bluesky: Sandbox | Real, key: str) -> Counted:
    """Counts logins and refreshes from here on."""
    return await Counted.at(bluesky)


async def test_the_stored_token_is_lent(
    service: Running, bluesky: Sandbox | Real, person: Person, key: str, spent: Counted
) -> None:
    """The reply has the account's id, server and name; the platform gets no request."""
    lease = await service.lease(key)
    assert lease.access_token == service.session().access_token
    assert (lease.account_id, lease.username) == (person.did, person.handle)
    assert lease.service_endpoint == bluesky.origin
    assert lease.authorization == f"Bearer {lease.access_token}"
    assert lease.lent == platforms_pb.LENT_SESSION
    assert lease.expires_at.ToMicroseconds() == service.session().expires_at
    assert await spent() == (0, 0)


async def test_the_reply_holds_no_other_secret(service: Running, person: Person, key: str) -> None:
    """No field has the refresh token or the password."""
    wire = (await service.lease(key)).SerializeToString()
    assert service.session().access_token.encode() in wire
    assert service.session().refresh_token.encode() not in wire
    assert person.app_password.encode() not in wire
    fields = sessions_pb.LeaseSessionResponse.DESCRIPTOR.fields_by_name.keys()
    assert sorted(fields) == [
        "access_token",
        "account_id",
        "authorization",
        "expires_at",
        "lent",
        "service_endpoint",
        "username",
    ]


async def test_a_token_is_lent_while_it_has_ten_minutes_left(
    service: Running, clock: MovedClock, key: str, spent: Counted
) -> None:
    """No refresh is made earlier."""
    stored = service.session()
    clock.ahead = 109 * MINUTE
    assert (await service.lease(key)).access_token == stored.access_token
    assert await spent() == (0, 0)
    clock.ahead = 111 * MINUTE
    assert (await service.lease(key)).access_token == service.session().access_token
    assert service.session() != stored
    assert await spent() == (0, 1)


async def test_an_expiring_token_is_refreshed_once(
    service: Running, clock: MovedClock, key: str, spent: Counted
) -> None:
    """Fifty concurrent leases get the same new token, which is stored before they return."""
    first = service.session()
    clock.ahead = EXPIRING
    leases = await asyncio.gather(*(service.lease(key) for _ in range(50)))
    [token] = {lease.access_token for lease in leases}
    now = service.session()
    assert (token, now.refresh_token != first.refresh_token) == (now.access_token, True)
    assert await spent() == (0, 1)


async def test_no_token_is_lent_before_it_is_stored(
    service: Running,
    clock: MovedClock,
    key: str,
    spent: Counted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All leases wait for the commit of the new session."""
    first = service.session()
    clock.ahead = EXPIRING
    answered = Held(monkeypatch, BlueskyPlatform, "refresh")
    written = Held(monkeypatch, SqlConnections, "save_session")
    leases = [asyncio.create_task(service.lease(key)) for _ in range(3)]
    await answered.reached.wait()
    assert service.session() == first
    answered.let_go.set()
    await written.reached.wait()
    assert service.session() != first
    assert not any(lease.done() for lease in leases)
    written.let_go.set()
    tokens = {lease.access_token for lease in await asyncio.gather(*leases)}
    assert tokens == {service.session().access_token}
    assert await spent() == (0, 1)


async def test_an_invalid_refresh_token_costs_one_login(
    service: Running, bluesky: Sandbox | Real, clock: MovedClock, key: str, spent: Counted
) -> None:
    """This holds for any number of concurrent leases; the new session is stored and valid."""
    await end_session(bluesky, service.session())
    clock.ahead = EXPIRING
    leases = await asyncio.gather(*(service.lease(key) for _ in range(50)))
    assert {lease.access_token for lease in leases} == {service.session().access_token}
    assert await spent() == (1, 1)
    assert await is_live(bluesky.origin, service.session().refresh_token)
    profile = await service.profiles.GetProfile(
        pb.GetProfileRequest(profile_key=key), metadata=service.metadata()
    )
    assert not profile.profile.connected_platforms[0].needs_reconnect


async def test_strangers_cannot_use_up_the_logins_of_a_lease(
    service: Running,
    bluesky: Sandbox | Real,
    person: Person,
    clock: MovedClock,
    key: str,
    spent: Counted,
) -> None:
    """Guesses are rejected after seven logins; leases have three more. After these, their errors
    have a retry time, and the platform gets no request."""
    guesses: list[str] = []
    clock.ahead = EXPIRING
    for _ in range(3):
        stranger, _ = await service.new_key(tenant_id=await service.new_tenant())
        for _ in range(3):
            refusal = await service.refused(person.handle, "abcd-efgh-ijkl-mnop", api_key=stranger)
            guesses.append(refusal.reason)
    assert guesses == ["INVALID_CREDENTIALS"] * 7 + ["RATE_LIMIT_EXCEEDED"] * 2
    for number in range(3):
        await end_session(bluesky, service.session())
        clock.ahead = EXPIRING + number * 64 * SECOND
        await service.lease(key, rejected=service.session().access_token)
        # a successful refresh: without one, the next login would back off
        clock.ahead += 3 * SECOND
        await service.verify(key)
    assert await spent() == (7 + 3, 3 + 3)
    await end_session(bluesky, service.session())
    clock.ahead = EXPIRING + 4 * MINUTE
    refusal = await service.lease_refused(key, rejected=service.session().access_token)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMIT_EXCEEDED",
    )
    assert refusal.retry_after is not None
    assert 1 <= refusal.retry_after <= 60
    assert await spent() == (7 + 3, 3 + 4)
    again = await service.lease_refused(key, rejected=service.session().access_token)
    assert again.reason == "RATE_LIMIT_EXCEEDED"
    assert await spent() == (7 + 3, 3 + 4)


async def test_a_rejected_token_is_replaced_once_a_minute(
    service: Running, bluesky: Sandbox | Real, clock: MovedClock, key: str, spent: Counted
) -> None:
    """It is replaced if it is the stored one; otherwise the stored one is lent. Within the minute,
    the stored one is lent again."""
    first = (await service.lease(key)).access_token
    assert (await service.lease(key, rejected=first)).access_token == first
    assert await spent() == (0, 0)
    clock.ahead = 61 * SECOND
    assert (await service.lease(key, rejected="never lent")).access_token == first
    assert await spent() == (0, 0)
    await another_second(bluesky)
    leases = await asyncio.gather(*(service.lease(key, rejected=first) for _ in range(20)))
    [second] = {lease.access_token for lease in leases}
    assert second == service.session().access_token != first
    assert await spent() == (0, 1)
    clock.ahead = 122 * SECOND
    assert (await service.lease(key, rejected=first)).access_token == second
    assert await spent() == (0, 1)
    await another_second(bluesky)
    third = (await service.lease(key, rejected=second)).access_token
    assert third == service.session().access_token != second
    assert await spent() == (0, 2)
    assert (await service.lease(key, rejected=third)).access_token == third
    assert await spent() == (0, 2)


async def test_a_lease_needs_the_scope_and_an_own_profile(
    service: Running, key: str, spent: Counted
) -> None:
    """For another tenant's profile, the error equals that of a profile that does not exist."""
    no_scope = await service.lease_refused(key, api_key=service.api_key)
    assert (no_scope.code, no_scope.reason, no_scope.metadata) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "INSUFFICIENT_SCOPE",
        {"requiredScope": "sessions:lease"},
    )
    other, _ = await service.new_key(Scope.SESSIONS_LEASE, tenant_id=await service.new_tenant())
    theirs = await service.lease_refused(key, api_key=other)
    absent = await service.lease_refused("prof_0000000000000000", api_key=other)
    assert (theirs.reason, theirs.wire) == ("PROFILE_NOT_FOUND", absent.wire)
    assert (await service.lease_refused("nonsense")).reason == "PROFILE_NOT_FOUND"
    assert await spent() == (0, 0)


async def test_bad_requests(service: Running, key: str, spent: Counted) -> None:
    """The error names the field; an unconnected platform, known or not, is
    PLATFORM_NOT_CONNECTED."""
    for arguments, field in (
        ({"profile_key": ""}, "profile_key"),
        ({"profile_key": key, "platform": ""}, "platform"),
        ({"profile_key": key, "platform": "x" * 65}, "platform"),
        ({"profile_key": key, "rejected": "x" * 8193}, "rejected_access_token"),
    ):
        refusal = await service.lease_refused(**arguments)
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", (field,))
        assert "xxxx" not in repr(refusal)
    empty = await service.new_profile()
    for profile_key, platform in ((empty, "bluesky"), (key, "linkedin"), (key, "Bluesky")):
        refusal = await service.lease_refused(profile_key, platform=platform)
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "PLATFORM_NOT_CONNECTED",
        )
    assert await spent() == (0, 0)


async def disconnect(service: Running, key: str) -> None:
    await service.profiles.DisconnectPlatform(
        pb.DisconnectPlatformRequest(profile_key=key, platform="bluesky"),
        metadata=service.metadata(),
    )


async def delete(service: Running, key: str) -> None:
    await service.profiles.DeleteProfile(
        pb.DeleteProfileRequest(profile_key=key), metadata=service.metadata()
    )


async def break_(service: Running, key: str) -> None:
    """Break the connection as a check in another process does, under a later claim."""
    await service.execute("UPDATE sessions SET fence = fence + 1 WHERE profile_key = ?", key)
    await service.execute(
        "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'APP_PASSWORD_REVOKED'"
        " WHERE profile_key = ?",
        key,
    )


ENDINGS = {
    "PLATFORM_NOT_CONNECTED": disconnect,
    "PROFILE_NOT_FOUND": delete,
    "NEEDS_RECONNECT": break_,
}


@pytest.mark.parametrize("reason", ENDINGS)
async def test_an_ended_connection_lends_nothing(
    service: Running, clock: MovedClock, key: str, spent: Counted, reason: str
) -> None:
    """It was disconnected, deleted or broken, and its token is valid or due; the platform gets no
    request."""
    await service.lease(key)
    await ENDINGS[reason](service, key)
    assert (await service.lease_refused(key)).reason == reason
    clock.ahead = EXPIRING
    assert (await service.lease_refused(key, rejected="x")).reason == reason
    assert await spent() == (0, 0)


@pytest.mark.parametrize("reason", ENDINGS)
async def test_a_connection_that_ends_during_a_refresh_lends_nothing(
    service: Running,
    bluesky: Sandbox | Real,
    clock: MovedClock,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    """The new token is not lent either, and a session that is not stored is ended."""
    clock.ahead = EXPIRING
    given = Held(monkeypatch, BlueskyPlatform, "refresh")
    lease = asyncio.create_task(service.lease_refused(key))
    await given.reached.wait()
    await ENDINGS[reason](service, key)
    given.let_go.set()
    assert (await lease).reason == reason
    [refreshed] = given.results
    async with asyncio.timeout(20):
        while reason != "NEEDS_RECONNECT" and await is_live(
            bluesky.origin, refreshed.session.refresh_token
        ):
            # it is ended in the background; this check itself refreshes the session
            await asyncio.sleep(0.05)


async def test_a_break_while_a_lease_waits_costs_no_call(
    service: Running, clock: MovedClock, key: str, spent: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease accepted before the verdict neither refreshes nor logs in after it."""
    clock.ahead = EXPIRING
    read = Held(monkeypatch, SqlConnections, "connection")
    lease = asyncio.create_task(service.lease_refused(key))
    await read.reached.wait()
    await break_(service, key)
    read.let_go.set()
    assert (await lease).reason == "NEEDS_RECONNECT"
    assert await spent() == (0, 0)


async def test_a_reconnect_during_a_refresh(
    service: Running,
    person: Person,
    clock: MovedClock,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session of the new connection is lent, and the refreshed one is discarded."""
    clock.ahead = EXPIRING
    given = Held(monkeypatch, BlueskyPlatform, "refresh")
    lease = asyncio.create_task(service.lease(key))
    await given.reached.wait()
    await service.connect(person.handle, person.app_password, profile_key=key)
    new = service.session()
    given.let_go.set()
    assert (await lease).access_token == new.access_token
    assert service.session() == new


async def test_a_reconnect_while_a_lease_waits(
    service: Running,
    person: Person,
    clock: MovedClock,
    key: str,
    spent: Counted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lease returns the session of the new connection."""
    clock.ahead = EXPIRING
    read = Held(monkeypatch, SqlConnections, "connection")
    lease = asyncio.create_task(service.lease(key))
    await read.reached.wait()
    await service.connect(person.handle, person.app_password, profile_key=key)
    read.let_go.set()
    assert (await lease).access_token == service.session().access_token
    assert await spent() == (1, 0)


@pytest.mark.parametrize(
    ("change", "reason", "logins"),
    [
        ("revoke", "APP_PASSWORD_REVOKED", 1),
        ("take_down", "ACCOUNT_TAKEN_DOWN", 0),
        ("deactivate", "ACCOUNT_DEACTIVATED", 0),
    ],
)
async def test_needs_reconnect_on_proof(
    service: Running,
    bluesky: Sandbox | Real,
    person: Person,
    clock: MovedClock,
    key: str,
    spent: Counted,
    change: str,
    reason: str,
    logins: int,
) -> None:
    """The proof is an inactive account, or a rejected password of an active one. The verdict is
    stored, and the next lease costs nothing."""
    await getattr(bluesky, change)(person)
    clock.ahead = EXPIRING
    refusals = await asyncio.gather(*(service.lease_refused(key) for _ in range(10)))
    assert {(refusal.reason, refusal.metadata["reconnectReason"]) for refusal in refusals} == {
        ("NEEDS_RECONNECT", reason)
    }
    assert await spent() == (logins, 1)
    [row] = service.rows("SELECT state, reconnect_reason FROM connections")
    assert row == {"state": "BROKEN", "reconnect_reason": reason}
    assert (await service.lease_refused(key)).reason == "NEEDS_RECONNECT"
    assert await spent() == (logins, 1)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_an_hour(
    service: Running, clock: MovedClock, key: str, spent: Counted, hours: int
) -> None:
    """A jump in either direction causes no refresh; a rejected token afterwards causes one."""
    token = (await service.lease(key)).access_token
    clock.ahead = hours * 60 * MINUTE
    assert (await service.lease(key)).access_token == token
    clock.ahead = 0
    assert (await service.lease(key)).access_token == token
    assert await spent() == (0, 0)
    clock.ahead = hours * 60 * MINUTE
    await service.lease(key, rejected=token)
    clock.ahead = 0
    # the last refresh is an hour away, in either direction
    await service.lease(key, rejected=service.session().access_token)
    assert await spent() == (0, 2)


async def test_a_claim_from_a_wrong_clock_delays_no_lease(
    service: Running, clock: MovedClock, key: str, spent: Counted
) -> None:
    """Example: a crash left it before the clock was set back by an hour."""
    ahead = clock.now() + 60 * MINUTE
    await service.execute("UPDATE sessions SET claimed_until = ?", ahead)
    clock.ahead = 61 * SECOND
    await service.lease(key, rejected=service.session().access_token, timeout=5)
    assert await spent() == (0, 1)


@pytest.mark.parametrize("off", [-3650 * 24 * 60, -180, 180, 3650 * 24 * 60])
async def test_a_server_whose_clock_is_wrong(
    service: Running, clock: MovedClock, key: str, spent: Counted, off: int
) -> None:
    """It costs only one refresh: a token's lifetime is the one it states, from its arrival."""
    clock.ahead = off * MINUTE
    lease = await service.lease(key, rejected=service.session().access_token)
    assert 100 * MINUTE < lease.expires_at.ToMicroseconds() - clock.now() <= 120 * MINUTE
    for _ in range(3):
        assert (await service.lease(key)).access_token == lease.access_token
    assert await spent() == (0, 1)


async def test_a_lent_token_is_valid(
    service: Running, bluesky: Sandbox | Real, person: Person, clock: MovedClock, key: str
) -> None:
    """The server in the reply accepts it, before and after a refresh."""
    for clock.ahead in (0, EXPIRING):
        lease = await service.lease(key)
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            answer = await http.get(
                f"{lease.service_endpoint}{SESSION}getSession",
                headers={"authorization": f"Bearer {lease.access_token}"},
            )
        assert (answer.status_code, answer.json()["did"]) == (200, person.did)
