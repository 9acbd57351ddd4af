"""Leases of an account whose document names another server: neither server gets a request until the
move is proved."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.domain.model import SECOND
from service.sandbox.breakages import Breakage
from service.sandbox.faults import AnotherEndpoint
from service.sandbox.network import Network
from service.sandbox.sandbox import Sandbox as Both
from tests.conformance.sandbox import Clock, Sandbox
from tests.connections.health_support import HEALTHY, HOUR, UNVERIFIED, Watched, broken
from tests.support.running import MovedClock, Refusal, running

MINUTE = HOUR // 60
ENDED = 3 * HOUR
"""Advances the clock past the end of a token of two hours."""
TOLERANCE = 5


@dataclass
class Moving:
    """An account at the first of two servers, with an expired access token."""

    watched: Watched
    both: Both
    time: Clock

    def move(self) -> Breakage:
        """Make its document name the other server, until the fault is mended."""
        return self.both.first.breakages.add(AnotherEndpoint(self.both.second.origin), method="plc")

    def asked(self) -> dict[str, int]:
        """Return the count of requests to each server, except for the document."""
        return {
            f"{server.origin}{path}": count
            for server in (self.both.first, self.both.second)
            for path, count in server.counts.items()
            if not path.startswith("/did:")
        }

    async def refused(self) -> Refusal:
        return await self.watched.service.lease_refused(self.watched.key)


@pytest.fixture
async def moving(database: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Moving]:
    clock, time = MovedClock(), Clock()
    monkeypatch.setattr("service.connections.backoff.monotonic", lambda: clock.now() / SECOND)
    async with Both(Network(now=time)) as both:
        sandbox = Sandbox(both, time)
        trusted = f"{both.first.origin},{both.second.origin}"
        settings = {**sandbox.settings(), "TRUSTED_ORIGINS": trusted, "CHECK_HOURS": "24"}
        async with running(database, settings, clock) as service:
            watched = Watched(service, sandbox, clock)
            await watched.connect()
            clock.ahead = ENDED
            sandbox.pass_time(ENDED / SECOND)
            yield Moving(watched, both, time)


def cause_of(refusal: Refusal) -> tuple[str, str]:
    return refusal.reason, refusal.metadata.get("cause") or refusal.metadata["reconnectReason"]


CHANGED = ("PLATFORM_UNAVAILABLE", "SERVER_CHANGED")


@pytest.mark.parametrize("first", ["check", "lease"])
async def test_leases_wait_until_a_move_is_proved(moving: Moving, first: str) -> None:
    """Their errors have the rest of the ten minutes, whether a lease or a check saw the move first.
    Then the connection is broken."""
    watched = moving.watched
    moving.move()
    if first == "lease":
        # with a valid session, a lease does not read the document
        await watched.bluesky.change_password(watched.person, "another main password")
        assert cause_of(await moving.refused()) == CHANGED
    else:
        assert await watched.verdict(25 * HOUR) == UNVERIFIED
    before = moving.asked()
    for minute in range(10):
        for _ in range(2):
            refusal = await moving.refused()
            assert cause_of(refusal) == CHANGED
            assert refusal.retry_after is not None
            assert abs(refusal.retry_after - (10 - minute) * 60) < TOLERANCE
        watched.clock.ahead += MINUTE
    assert cause_of(await moving.refused()) == ("NEEDS_RECONNECT", "SERVER_MOVED")
    assert moving.asked() == before
    assert (await watched.spent(), watched.events()) == (0, ["UNVERIFIED", "BROKEN"])


async def test_a_verify_waits_too(moving: Moving) -> None:
    """Repeated verifies do not shorten the time."""
    moving.move()
    assert await moving.watched.verdict(25 * HOUR) == UNVERIFIED
    before = moving.asked()
    for _ in range(5):
        assert await moving.watched.verdict(3 * SECOND) == UNVERIFIED
    assert await moving.watched.verdict(10 * MINUTE) == broken("SERVER_MOVED")
    assert moving.asked() == before


async def test_an_account_that_is_back_is_leased_at_once(moving: Moving) -> None:
    """Leases work as soon as a check finds it, although they had a retry time of ten minutes."""
    move = moving.move()
    assert await moving.watched.verdict(25 * HOUR) == UNVERIFIED
    assert cause_of(await moving.refused()) == CHANGED
    move.mend()
    moving.time.at += (25 * HOUR) / SECOND
    assert await moving.watched.verdict(3 * SECOND) == HEALTHY
    await moving.watched.service.lease(moving.watched.key)
    assert await moving.watched.spent() == 0


async def test_a_lease_finds_that_the_account_is_back(moving: Moving) -> None:
    """It reads the document first, and stores the verdict."""
    move = moving.move()
    assert await moving.watched.verdict(25 * HOUR) == UNVERIFIED
    move.mend()
    moving.time.at += (25 * HOUR) / SECOND
    await moving.watched.service.lease(moving.watched.key)
    assert moving.watched.row["moved_at"] is None
    assert moving.watched.events() == ["UNVERIFIED", "HEALTHY"]
