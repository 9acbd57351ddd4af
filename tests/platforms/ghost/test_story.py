"""The whole story through the running service, at the stand-in and at a real Ghost."""

import asyncio
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import SECOND
from tests.connections.health_support import HEALTHY, UNVERIFIED, broken, status_of
from tests.platforms.ghost.sites import (
    API,
    PROOF,
    SandboxSite,
    Site,
    ask,
    connect,
    post,
    refused,
    settings,
    started_stand_in,
)
from tests.support.running import MovedClock, Running, running

HOUR, MINUTE = 3600 * SECOND, 60 * SECOND
REVOKED = broken("APP_PASSWORD_REVOKED")


async def verdict(
    service: Running, key: str, clock: MovedClock, after: int = HOUR
) -> tuple[str, bool, str]:
    """Return the verdict of a check that is made *after* microseconds later."""
    clock.ahead += after
    return status_of(await service.verify(key, platform="ghost"))


async def test_connect_lease_and_post(service: Running, site: Site) -> None:
    """The reply has the site's host; the lease a token of five minutes, which posts."""
    made = await connect(service, f" {site.home}/ghost/#/settings ", f"\u200b{site.api_key}\n")
    host = site.home.partition("://")[2]
    assert (made.platform, made.username) == ("ghost", host)
    lease = await service.lease(made.profile_key, platform="ghost")
    assert lease.service_endpoint == f"{site.home}{API}"
    assert lease.authorization == f"Ghost {lease.access_token}"
    assert lease.lent == platforms_pb.LENT_SESSION
    assert lease.username == host
    left = lease.expires_at.ToMicroseconds() - MovedClock().now()
    assert 4 * MINUTE < left <= 5 * MINUTE
    assert site.api_key.partition(":")[2] not in str(lease) + lease.authorization
    answer = await post(lease, "By a lease")
    assert answer.status_code == 201
    assert (await site.titles()).count("By a lease") == 1


async def test_the_account_is_the_sites_permanent_id(service: Running, site: Site) -> None:
    """With the title as the name to show."""
    stated = (await ask("GET", f"{site.home}{API}/site/")).json()["site"]
    made = await connect(service, site.home, site.api_key)
    lease = await service.lease(made.profile_key, platform="ghost")
    assert lease.account_id == stated["site_uuid"]
    async with asyncio.timeout(5):
        while True:
            reply = await service.profiles.GetProfile(
                pb.GetProfileRequest(profile_key=made.profile_key), metadata=service.metadata()
            )
            [connection] = reply.profile.connected_platforms
            if connection.display_name == stated["title"]:
                return
            await asyncio.sleep(0.01)


async def test_a_wrong_key(service: Running, site: Site) -> None:
    """A wrong secret and an unknown id are REJECTED_BY_PLATFORM; nothing is stored."""
    key_id, _, secret = site.api_key.partition(":")
    for wrong in (f"{key_id}:{'ab' * 32}", f"{'0' * 24}:{secret}"):
        refusal = await refused(service, site.home, wrong)
        assert refusal.reason == "INVALID_CREDENTIALS"
        assert refusal.metadata["cause"] == "REJECTED_BY_PLATFORM"
        assert refusal.message == "Invalid Ghost credentials"
    assert service.rows("SELECT * FROM connections") == []


@pytest.mark.parametrize("change", ["regenerate", "delete"])
async def test_a_key_that_is_revoked(
    service: Running, site: Site, clock: MovedClock, change: str
) -> None:
    """A check flags it at once; a reconnect with a new key heals it."""
    key = (await connect(service, site.home, site.api_key)).profile_key
    assert await verdict(service, key, clock) == HEALTHY
    new = await site.regenerate() if change == "regenerate" else None
    if new is None:
        await site.delete()
    assert await verdict(service, key, clock) == REVOKED
    refusal = await service.lease_refused(key, platform="ghost")
    assert refusal.reason == "NEEDS_RECONNECT"
    # it stays so
    assert await verdict(service, key, clock) == REVOKED
    if new is not None:
        await connect(service, site.home, new, profile_key=key)
        assert await verdict(service, key, clock) == HEALTHY
        assert (await post(await service.lease(key, platform="ghost"), "Again")).status_code == 201


async def test_a_revoked_key_is_found_by_a_token_that_was_rejected(
    service: Running, site: Site, clock: MovedClock
) -> None:
    """The caller who reports it gets NEEDS_RECONNECT."""
    key = (await connect(service, site.home, site.api_key)).profile_key
    lease = await service.lease(key, platform="ghost")
    await site.delete()
    assert (await post(lease, "Never")).status_code == 401
    clock.ahead += 2 * MINUTE
    refusal = await service.lease_refused(key, platform="ghost", rejected=lease.access_token)
    assert refusal.reason == "NEEDS_RECONNECT"
    assert refusal.metadata["reconnectReason"] == "APP_PASSWORD_REVOKED"


async def test_a_disconnect(service: Running, site: Site) -> None:
    """Nothing is leased any more. A token that was lent ends by itself, within five minutes."""
    key = (await connect(service, site.home, site.api_key)).profile_key
    lease = await service.lease(key, platform="ghost")
    await service.profiles.DisconnectPlatform(
        pb.DisconnectPlatformRequest(profile_key=key, platform="ghost"), metadata=service.metadata()
    )
    refusal = await service.lease_refused(key, platform="ghost")
    assert refusal.reason == "PLATFORM_NOT_CONNECTED"
    for table in ("connections", "credentials", "sessions"):
        assert service.rows(f"SELECT * FROM {table}") == []
    headers = {"authorization": lease.authorization}
    assert (await ask("GET", f"{site.home}{PROOF}", headers)).status_code == 200


async def test_leases_make_no_call_and_no_write(alone: Running, stand_in: SandboxSite) -> None:
    """A hundred leases are a hundred tokens signed here, out of one proof."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    before = dict(stand_in.ghost.counts)
    [stored] = alone.rows("SELECT * FROM sessions")
    leases = [await alone.lease(key, platform="ghost") for _ in range(100)]
    assert dict(stand_in.ghost.counts) == before
    assert alone.rows("SELECT * FROM sessions") == [stored]
    assert stand_in.proofs == 1
    assert {(await post(each, "One of many")).status_code for each in leases[::20]} == {201}


async def test_a_rejected_token_leads_to_one_proof_a_minute(
    alone: Running, stand_in: SandboxSite, clock: MovedClock
) -> None:
    """One of ours that has not expired; any other text leads to none."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    clock.ahead += 2 * MINUTE
    lent = (await alone.lease(key, platform="ghost")).access_token
    head, claims, signature = lent.split(".")
    for other in ("x", "a.b.c", f"{head}.{claims}.{signature[::-1]}", f"\u00e9{lent}"):
        await alone.lease(key, platform="ghost", rejected=other)
    assert stand_in.proofs == 1
    for _ in range(5):
        again = await alone.lease(key, platform="ghost", rejected=lent)
        assert (await post(again, "Still good")).status_code == 201
    assert stand_in.proofs == 2
    clock.ahead += 61 * SECOND
    await alone.lease(key, platform="ghost", rejected=lent)
    assert stand_in.proofs == 3
    # an expired one was rejected for its age
    clock.ahead += 5 * MINUTE
    await alone.lease(key, platform="ghost", rejected=lent)
    assert stand_in.proofs == 3


async def test_a_rejected_token_in_an_outage(
    alone: Running, stand_in: SandboxSite, clock: MovedClock
) -> None:
    """The caller gets the outage and no flag is set; a lease that reports nothing goes on."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    clock.ahead += 2 * MINUTE
    lent = (await alone.lease(key, platform="ghost")).access_token
    stand_in.ghost.break_(503)
    refusal = await alone.lease_refused(key, platform="ghost", rejected=lent)
    assert refusal.reason == "PLATFORM_UNAVAILABLE"
    assert (await alone.lease(key, platform="ghost")).access_token
    stand_in.ghost.break_(None)
    clock.ahead += 30 * SECOND
    assert await verdict(alone, key, clock) == HEALTHY


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500, 502, 503, 599])
async def test_no_outage_is_a_flag(
    alone: Running, stand_in: SandboxSite, clock: MovedClock, status: int
) -> None:
    """A page of any status for every path proves nothing, however often."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    stand_in.ghost.break_(status)
    for _ in range(4):
        assert await verdict(alone, key, clock) == UNVERIFIED
    stand_in.ghost.break_(None)
    assert await verdict(alone, key, clock) == HEALTHY


@pytest.mark.parametrize("change", ["strip-header", "reinstall", "downgrade"])
async def test_a_change_that_proves_nothing(
    alone: Running, stand_in: SandboxSite, clock: MovedClock, change: str
) -> None:
    """A stripped header, or another site at the address, which gets no token: UNVERIFIED."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    before = stand_in.proofs
    stand_in.ghost.change(change, "")
    for _ in range(3):
        assert await verdict(alone, key, clock) == UNVERIFIED
    assert stand_in.proofs == before + (3 if change == "strip-header" else 0)
    stand_in.ghost.change("restore", "")
    assert await verdict(alone, key, clock) == HEALTHY


async def test_a_site_that_is_away(
    database: Path, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """UNVERIFIED; a lease goes on, since the token needs no call."""
    async with (
        started_stand_in() as stand_in,
        running(database, settings(stand_in), clock) as alone,
    ):
        home, port = stand_in.home, int(stand_in.home.rpartition(":")[2])
        key = (await connect(alone, home, stand_in.api_key)).profile_key
        await stand_in.ghost.stop()
        assert await verdict(alone, key, clock) == UNVERIFIED
        assert (await alone.lease(key, platform="ghost")).access_token
        refusal = await refused(alone, home, stand_in.api_key)
        assert refusal.metadata["cause"] == "SERVER_UNREACHABLE"
        await stand_in.ghost.start(port=port)
        assert await verdict(alone, key, clock) == HEALTHY


@pytest.mark.parametrize("change", ["clock-ahead", "clock-behind"])
async def test_a_site_whose_clock_is_ten_minutes_off(
    alone: Running, stand_in: SandboxSite, clock: MovedClock, change: str
) -> None:
    """It connects, checks, and takes what is leased: tokens are signed by its clock."""
    stand_in.ghost.change(change, "")
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    assert (await post(await alone.lease(key, platform="ghost"), "In time")).status_code == 201
    assert status_of(await alone.verify(key, platform="ghost")) == HEALTHY


async def test_our_own_clock_ten_minutes_behind(
    alone: Running, stand_in: SandboxSite, clock: MovedClock
) -> None:
    """The same, and the token ends by our clock in five minutes."""
    clock.ahead = -10 * MINUTE
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    lease = await alone.lease(key, platform="ghost")
    assert (await post(lease, "In time")).status_code == 201
    assert 4 * MINUTE < lease.expires_at.ToMicroseconds() - clock.now() <= 5 * MINUTE


async def test_a_clock_that_is_off_by_an_hour(alone: Running, stand_in: SandboxSite) -> None:
    """No proof against the key, and no token signed that far ahead."""
    stand_in.ghost.clock_offset = 3600
    refusal = await refused(alone, stand_in.home, stand_in.api_key)
    assert refusal.reason == "PLATFORM_UNAVAILABLE"
    assert refusal.metadata == {
        "cause": "UNEXPECTED_ANSWER",
        "httpStatus": "401",
        "step": "SERVER",
    }


async def test_a_clock_that_goes_wrong_is_no_flag(
    alone: Running, stand_in: SandboxSite, clock: MovedClock
) -> None:
    """UNVERIFIED until it is right, if it is off by more than is believed."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    stand_in.ghost.clock_offset = 48 * 3600
    assert await verdict(alone, key, clock) == UNVERIFIED


async def test_a_former_title(alone: Running, stand_in: SandboxSite, clock: MovedClock) -> None:
    """A new title changes no id: the site stays connected."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    stand_in.ghost.change("rename", "Another Gazette")
    assert await verdict(alone, key, clock) == HEALTHY
    again = await connect(alone, stand_in.home, stand_in.api_key, profile_key=key)
    assert again.profile_key == key


async def test_another_site_for_a_connected_profile(alone: Running, stand_in: SandboxSite) -> None:
    """PROFILE_ALREADY_EXISTS, before the key is used."""
    key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
    stand_in.ghost.change("reinstall", "")
    before = stand_in.proofs
    refusal = await refused(alone, stand_in.home, stand_in.api_key, profile_key=key)
    assert refusal.reason == "PROFILE_ALREADY_EXISTS"
    assert stand_in.proofs == before


async def test_no_secret_is_shown(
    alone: Running, stand_in: SandboxSite, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In no log line, no error, no reply but a lease's, and not in the clear in the database."""
    secret = stand_in.api_key.partition(":")[2]
    with capture_logs() as events:
        key = (await connect(alone, stand_in.home, stand_in.api_key)).profile_key
        clock.ahead += 2 * MINUTE
        token = (await alone.lease(key, platform="ghost")).access_token
        await alone.lease(key, platform="ghost", rejected=token)
        stand_in.ghost.change("strip-header", "")
        refusals = [await refused(alone, stand_in.home, stand_in.api_key)]
        await alone.verify(key, platform="ghost")
        stand_in.ghost.change("delete", "")
        stand_in.ghost.is_header_stripped = False
        clock.ahead += HOUR
        await alone.verify(key, platform="ghost")
        refusals.append(await refused(alone, stand_in.home, stand_in.api_key))
        refusals.append(await refused(alone, stand_in.home, f"{stand_in.api_key}0"))
    shown = json.dumps(events, default=repr) + caplog.text + repr(refusals)
    shown += "".join(repr(each.wire) for each in refusals)
    stored = alone.database.read_bytes() + alone.database.with_name("postcore.db-wal").read_bytes()
    for text in (secret, token, token.rpartition(".")[2]):
        assert text not in shown
        assert text.encode() not in stored
