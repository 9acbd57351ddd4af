"""What a platform states of itself, by its card and its errors, and what follows from it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from service.connections import backoff
from service.domain.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.domain.model import (
    SECOND,
    AccountStatus,
    InvalidCredentialsCause,
    Lent,
    PlatformCard,
    PlatformUnavailableCause,
    Scope,
)
from service.domain.platform import CredentialRevoked, PermissionLost, SessionEnded
from tests.connections.health_support import HEALTHY, UNVERIFIED, broken, status_of
from tests.connections.toy import CARD, REJECTED, Toy
from tests.support.running import MovedClock, Running, running

HOUR, MINUTE = 3600 * SECOND, 60 * SECOND
INTERVAL = 2 * HOUR
TWO = replace(CARD, refusals_for_proof=2, refusal_interval=INTERVAL)
NOWHERE = "http://127.0.0.1:9"
SETTINGS = {"PLC_URL": NOWHERE, "HANDLE_RESOLVER_URL": NOWHERE, "CHECK_HOURS": "24"}
REVOKED = broken("APP_PASSWORD_REVOKED")
LOST = broken("PERMISSION_LOST")
OUTAGE = PlatformUnavailable(PlatformUnavailableCause.SERVER_UNREACHABLE, "away")


class Held:
    """A service with one connection to a toy."""

    def __init__(self, service: Running, toy: Toy, clock: MovedClock, key: str) -> None:
        self.service, self.toy, self.clock, self.key = service, toy, clock, key

    async def verdict(self, after: int = HOUR) -> tuple[str, bool, str]:
        """Return the verdict of a check that is made *after* microseconds later."""
        self.clock.ahead += after
        return status_of(await self.service.verify(self.key, platform="toy"))

    async def lease_reason(self) -> str:
        """Return the reason why a lease is refused, for a caller whose token was rejected."""
        self.clock.ahead += 2 * MINUTE
        token = self.service.session(self.key).access_token
        refusal = await self.service.lease_refused(self.key, platform="toy", rejected=token)
        return refusal.metadata.get("reconnectReason", refusal.reason)

    @property
    def rejections(self) -> int:
        [row] = self.service.rows("SELECT rejections FROM connections")
        return int(row["rejections"] or 0)

    def events(self) -> list[str]:
        rows = self.service.rows("SELECT kind FROM events ORDER BY number")
        return [row["kind"] for row in rows]


@asynccontextmanager
async def toy_service(
    toy: Toy, database: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """Run the service with *toy* as its only platform."""
    monkeypatch.setattr("service.app.build.ADAPTERS", (toy.adapter,))
    async with running(database, SETTINGS, clock) as service:
        yield service


@pytest.fixture
def card() -> PlatformCard:
    """The toy's card; tests with another one give it as a parameter."""
    return CARD


@pytest.fixture
def toy(card: PlatformCard) -> Toy:
    return Toy(card)


@pytest.fixture
async def service(
    toy: Toy, database: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    async with toy_service(toy, database, clock, monkeypatch) as service:
        yield service


@pytest.fixture
async def held(service: Running, toy: Toy, clock: MovedClock) -> Held:
    reply = await service.connect("one", "word", platform="toy")
    return Held(service, toy, clock, reply.profile_key)


needs_two = pytest.mark.parametrize("card", [TWO], ids=["two"])


@needs_two
async def test_one_rejection_of_two_is_a_doubt(held: Held, toy: Toy) -> None:
    """UNVERIFIED without a flag; the second one, an interval later, is the proof."""
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    assert await held.verdict() == UNVERIFIED
    assert (held.rejections, toy.counts["logins"]) == (1, 2)
    # no login before the interval is over, also where our own wait is
    for after in (MINUTE, HOUR, 30 * MINUTE):
        assert await held.verdict(after) == UNVERIFIED
    assert (held.rejections, toy.counts["logins"]) == (1, 2)
    assert await held.verdict(30 * MINUTE) == REVOKED
    assert toy.counts["logins"] == 3
    assert held.events() == ["CONNECTED", "UNVERIFIED", "BROKEN"]


@needs_two
async def test_a_lease_meets_one_rejection(
    held: Held, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets PLATFORM_UNAVAILABLE; the second rejection is NEEDS_RECONNECT."""
    monkeypatch.setattr(backoff, "MIN_WAIT_SECONDS", 0)  # by the machine's clock
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    assert await held.lease_reason() == "PLATFORM_UNAVAILABLE"
    held.clock.ahead += INTERVAL
    assert await held.lease_reason() == "APP_PASSWORD_REVOKED"


@needs_two
@pytest.mark.parametrize("heals_by", ["login", "refresh"])
async def test_a_success_starts_the_count_again(held: Held, toy: Toy, heals_by: str) -> None:
    """Two rejections with a login or a refresh that worked in between are one and one."""
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    assert await held.verdict() == UNVERIFIED
    toy.login_error = None
    if heals_by == "refresh":
        toy.refresh_error = None
    assert await held.verdict(INTERVAL) == HEALTHY
    assert held.rejections == 0
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    assert await held.verdict(25 * HOUR) == UNVERIFIED
    assert held.rejections == 1
    assert await held.verdict(25 * HOUR) == REVOKED


@needs_two
async def test_logins_that_work_do_not_count(held: Held, toy: Toy) -> None:
    """A server that ends each session and takes each password is never a rejection."""
    toy.refresh_error = SessionEnded()
    for _ in range(4):
        assert await held.verdict(25 * HOUR) == HEALTHY
    assert held.rejections == 0
    toy.login_error = REJECTED
    assert await held.verdict(25 * HOUR) == UNVERIFIED
    assert held.rejections == 1


@needs_two
async def test_an_outage_neither_counts_nor_heals(held: Held, toy: Toy) -> None:
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    assert await held.verdict() == UNVERIFIED
    toy.login_error = OUTAGE
    assert await held.verdict(INTERVAL) == UNVERIFIED
    assert held.rejections == 1
    toy.login_error = REJECTED
    assert await held.verdict(INTERVAL) == REVOKED


@needs_two
@pytest.mark.parametrize("stated", [AccountStatus.UNKNOWN, AccountStatus.NOT_FOUND])
async def test_a_rejection_without_a_status_does_not_count(
    held: Held, toy: Toy, stated: AccountStatus
) -> None:
    """Only one between two statements that the account is active."""
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    toy.statuses = [AccountStatus.ACTIVE, stated]
    assert await held.verdict() == UNVERIFIED
    assert held.rejections == 0


STATED = pytest.mark.parametrize(
    ("error", "flag"),
    [(CredentialRevoked(), REVOKED), (PermissionLost(), LOST)],
    ids=["revoked", "permission"],
)
WHERE = pytest.mark.parametrize("where", ["refresh", "login"])


def say(toy: Toy, where: str, error: Exception | None) -> None:
    """Let the toy raise *error* from a refresh, or from the login after an ended session."""
    if where == "refresh":
        toy.refresh_error = error
    else:
        toy.refresh_error, toy.login_error = SessionEnded(), error


@STATED
@WHERE
async def test_what_a_platform_states_is_proof_at_once(
    held: Held, toy: Toy, where: str, error: Exception, flag: tuple[str, bool, str]
) -> None:
    """In one check, whatever the card says of rejections; and again in the next."""
    say(toy, where, error)
    assert await held.verdict() == flag
    assert await held.verdict(25 * HOUR) == flag
    assert toy.counts["logins"] == (1 if where == "refresh" else 3)
    refusal = await held.service.lease_refused(held.key, platform="toy")
    assert refusal.metadata["reconnectReason"] == flag[2]
    assert held.events() == ["CONNECTED", "BROKEN"]


@STATED
@WHERE
async def test_what_a_platform_states_to_a_lease(
    held: Held, toy: Toy, where: str, error: Exception, flag: tuple[str, bool, str]
) -> None:
    """The caller gets NEEDS_RECONNECT with the reason, and the connection is flagged."""
    say(toy, where, error)
    assert await held.lease_reason() == flag[2]
    assert held.events() == ["CONNECTED", "BROKEN"]


@STATED
@WHERE
async def test_what_a_platform_states_no_more(
    held: Held, toy: Toy, where: str, error: Exception, flag: tuple[str, bool, str]
) -> None:
    """It recovers by itself: permission is given back, a credential restored from a backup."""
    say(toy, where, error)
    assert await held.verdict() == flag
    say(toy, where, None)
    assert await held.verdict(25 * HOUR) == HEALTHY
    assert held.events() == ["CONNECTED", "BROKEN", "RECOVERED"]
    assert (await held.service.lease(held.key, platform="toy")).access_token


SWITCHED_OFF = broken("CREDENTIALS_SWITCHED_OFF")


async def test_credentials_are_switched_off(held: Held, toy: Toy) -> None:
    """Stated before a login, of which none is spent; it recovers by itself."""
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    toy.statuses = [AccountStatus.SWITCHED_OFF]
    assert await held.verdict() == SWITCHED_OFF
    assert await held.verdict(25 * HOUR) == SWITCHED_OFF
    assert toy.counts["logins"] == 1
    toy.statuses, toy.login_error = [AccountStatus.ACTIVE], None
    assert await held.verdict(25 * HOUR) == HEALTHY
    assert toy.counts["logins"] == 2
    assert held.events() == ["CONNECTED", "BROKEN", "RECOVERED"]


@needs_two
async def test_credentials_are_switched_off_meanwhile(held: Held, toy: Toy) -> None:
    """Stated after a rejected login: that is the reason, and the rejection does not count."""
    toy.refresh_error, toy.login_error = SessionEnded(), REJECTED
    toy.statuses = [AccountStatus.ACTIVE, AccountStatus.SWITCHED_OFF]
    assert await held.verdict() == SWITCHED_OFF
    assert held.rejections == 0


async def test_only_a_login_returns_the_account(service: Running, toy: Toy) -> None:
    """The profile is connected to what the login says, and connects again."""
    toy.is_provisional = True
    key = (await service.connect("one", "word", platform="toy")).profile_key
    [row] = service.rows("SELECT account_id, origin FROM connections")
    assert row == {"account_id": "toy:1", "origin": "https://toy.example"}
    # by another name of the same account
    again = await service.connect("uno", "word", platform="toy", profile_key=key)
    assert again.profile_key == key
    await ended(toy, "access-1")
    assert (await service.lease(key, platform="toy")).account_id == "toy:1"


async def test_a_login_returns_another_account(service: Running, toy: Toy) -> None:
    """PROFILE_ALREADY_EXISTS, after the login, whose session is ended; the former one stays."""
    toy.is_provisional = True
    key = (await service.connect("one", "word", platform="toy")).profile_key
    toy.account_id = "toy:2"
    refusal = await service.refused("one", "word", platform="toy", profile_key=key)
    assert refusal.reason == "PROFILE_ALREADY_EXISTS"
    assert toy.counts["logins"] == 2
    await ended(toy, "access-2")
    lease = await service.lease(key, platform="toy")
    assert (lease.account_id, lease.access_token) == ("toy:1", "access-1")


async def ended(toy: Toy, token: str) -> None:
    """Wait until the session of *token*, and no other one, was logged out."""
    async with asyncio.timeout(5):
        while toy.ended != [token]:
            assert toy.ended in ([], [token])
            await asyncio.sleep(0.01)


async def test_a_platform_without_a_directory(held: Held, toy: Toy) -> None:
    """It is checked for days, through an outage and a healed session, and never moves."""
    toy.refresh_error = OUTAGE
    for _ in range(3):
        assert await held.verdict(25 * HOUR) == UNVERIFIED
    toy.refresh_error = SessionEnded()
    assert await held.verdict(25 * HOUR) == HEALTHY
    toy.refresh_error = None
    assert await held.verdict(25 * HOUR) == HEALTHY
    [row] = held.service.rows("SELECT moved_at, username, display_name FROM connections")
    assert row == {"moved_at": None, "username": "one", "display_name": "one"}


@pytest.mark.parametrize("card", [replace(CARD, max_logins=(2, 3))], ids=["few"])
async def test_a_platforms_own_limit_on_logins(
    service: Running, toy: Toy, clock: MovedClock
) -> None:
    """Two in five minutes and three in a day, though the settings allow more."""

    async def connect() -> str:
        try:
            await service.connect("one", "word", platform="toy")
        except grpc.aio.AioRpcError:
            return (await service.refused("one", "word", platform="toy")).reason
        return "connected"

    assert [await connect() for _ in range(3)] == ["connected", "connected", "RATE_LIMIT_EXCEEDED"]
    clock.ahead += 6 * MINUTE
    assert [await connect() for _ in range(2)] == ["connected", "RATE_LIMIT_EXCEEDED"]
    clock.ahead += 6 * MINUTE
    assert await connect() == "RATE_LIMIT_EXCEEDED"
    assert toy.counts["logins"] == 3
    clock.ahead += 24 * HOUR
    assert await connect() == "connected"


@pytest.mark.parametrize("card", [replace(CARD, max_rejections=3)], ids=["few"])
async def test_the_rejections_of_a_site(service: Running, toy: Toy, clock: MovedClock) -> None:
    """Of all names together; one tenant leaves one to the others, and upkeep is not limited."""
    key = (await service.connect("held", "word", platform="toy")).profile_key
    toy.is_provisional, toy.login_error = True, REJECTED

    async def reason(name: str, api_key: str | None = None) -> str:
        return (await service.refused(name, "word", platform="toy", api_key=api_key)).reason

    rejected, limited = "INVALID_CREDENTIALS", "RATE_LIMIT_EXCEEDED"
    assert [await reason(name) for name in ("one", "two", "three")] == [rejected] * 2 + [limited]
    other = (await service.new_key(tenant_id=await service.new_tenant()))[0]
    assert [await reason(name, other) for name in ("one", "two")] == [rejected, limited]
    assert toy.counts["logins"] == 4
    toy.login_error = None
    assert await reason("one", other) == limited
    toy.refresh_error = SessionEnded()
    assert status_of(await service.verify(key, platform="toy")) == HEALTHY
    clock.ahead += HOUR
    toy.login_error = REJECTED
    assert await reason("one", other) == rejected


@pytest.mark.parametrize("card", [replace(CARD, max_rejections=3)], ids=["few"])
@pytest.mark.parametrize(
    "error",
    [
        InvalidCredentials(CARD, InvalidCredentialsCause.NOT_PERMITTED),
        PlatformUnavailable(PlatformUnavailableCause.TIMEOUT, "timeout"),
    ],
    ids=["not permitted", "outage"],
)
async def test_what_is_no_rejection_of_a_site(
    service: Running, toy: Toy, error: ServiceError
) -> None:
    """No plugin counts it."""
    toy.login_error = error
    for name in ("one", "two", "three"):
        assert (await service.refused(name, "word", platform="toy")).reason != "RATE_LIMIT_EXCEEDED"


LENDS = replace(CARD, lends=Lent.CREDENTIAL)
lends_credentials = pytest.mark.parametrize("card", [LENDS], ids=["credential"])


@lends_credentials
async def test_a_credential_is_lent_under_its_own_scope(held: Held, toy: Toy) -> None:
    """Without an end; the audit says what was lent."""
    both = (await held.service.new_key(Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE))[0]
    lease = await held.service.lease(held.key, platform="toy", api_key=both)
    assert (lease.access_token, lease.authorization) == ("word", "Toy word")
    assert lease.lent == platforms_pb.LENT_CREDENTIAL
    assert not lease.HasField("expires_at")
    assert lease.service_endpoint == "https://toy.example/api"
    assert toy.counts == {"logins": 1}
    async with asyncio.timeout(5):
        while not (rows := held.service.rows("SELECT * FROM audit WHERE lent <> ''")):
            await asyncio.sleep(0.02)
    [row] = rows
    assert (row["lent"], row["expires_at"]) == ("CREDENTIAL", 0)


@lends_credentials
@pytest.mark.parametrize(
    ("scopes", "required"),
    [
        ([Scope.SESSIONS_LEASE], "credentials:lease"),
        ([Scope.CREDENTIALS_LEASE], "sessions:lease"),
        ([], "sessions:lease"),
    ],
)
async def test_a_credential_is_not_lent_without_both_scopes(
    held: Held, toy: Toy, scopes: list[Scope], required: str
) -> None:
    """INSUFFICIENT_SCOPE with the one that is missing, before any call, also for a rejected one."""
    api_key = (await held.service.new_key(*scopes))[0]
    held.clock.ahead += HOUR
    for rejected in ("", "word"):
        refusal = await held.service.lease_refused(
            held.key, platform="toy", api_key=api_key, rejected=rejected
        )
        assert refusal.reason == "INSUFFICIENT_SCOPE"
        assert refusal.metadata == {"requiredScope": required}
    assert toy.counts == {"logins": 1}


@lends_credentials
async def test_a_rejected_credential_is_proved_once_a_minute(held: Held, toy: Toy) -> None:
    """By a refresh, which returns the same credential."""
    both = (await held.service.new_key(Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE))[0]
    held.clock.ahead += 2 * MINUTE
    for _ in range(3):
        lease = await held.service.lease(held.key, platform="toy", api_key=both, rejected="word")
        assert lease.access_token == "word"
    assert toy.counts == {"logins": 1, "refreshes": 1}


@lends_credentials
async def test_what_a_platform_lends_is_listed(service: Running) -> None:
    reply = await service.platforms.ListPlatforms(
        platforms_pb.ListPlatformsRequest(), metadata=service.metadata()
    )
    [toy] = [platform for platform in reply.platforms if platform.id == "toy"]
    assert toy.lends == platforms_pb.LENT_CREDENTIAL
