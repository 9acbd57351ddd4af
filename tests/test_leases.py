"""Leases: sessions on loan, counted at the server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.model import SECOND
from tests.bluesky import CREATE, SESSION, Bluesky
from tests.running import MovedClock, Running, running

REFRESH = f"{SESSION}refreshSession"
HOUR = 3600 * SECOND


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def service(bluesky: Bluesky, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    async with running(database, bluesky.settings(), clock) as started:
        yield started


class Counted:
    """Logins and refreshes at the server since the start of the test."""

    def __init__(self, bluesky: Bluesky) -> None:
        self._bluesky = bluesky
        self._before: dict[str, int] = {}

    async def start(self) -> None:
        self._before = await self._bluesky.counts()

    async def __call__(self) -> tuple[int, int]:
        now = await self._bluesky.counts()
        return (
            now.get(CREATE, 0) - self._before.get(CREATE, 0),
            now.get(REFRESH, 0) - self._before.get(REFRESH, 0),
        )


@pytest.fixture
async def spent(bluesky: Bluesky) -> Counted:
    counted = Counted(bluesky)
    await counted.start()
    return counted


async def test_the_stored_token_is_lent(service: Running, bluesky: Bluesky, spent: Counted) -> None:
    """With the account's id, its server and its name; the platform is not asked."""
    person = await bluesky.person()
    connected = await service.connect(person.handle, person.app_password)
    lease = await service.lease(connected.profile_key)
    assert lease.access_token == service.session().access_token
    assert (lease.account_id, lease.username) == (person.did, person.handle)
    assert lease.service_endpoint == bluesky.origin
    assert lease.expires_at.ToMicroseconds() == service.session().expires_at
    assert await spent() == (1, 0)


async def test_an_expiring_token_is_refreshed_once(
    service: Running, bluesky: Bluesky, spent: Counted, clock: MovedClock
) -> None:
    """Fifty that ask at once get the same next token, which is stored by then."""
    person = await bluesky.person()
    connected = await service.connect(person.handle, person.app_password)
    first = service.session()
    clock.ahead = 2 * HOUR
    leases = await asyncio.gather(*(service.lease(connected.profile_key) for _ in range(50)))
    [token] = {lease.access_token for lease in leases}
    now = service.session()
    assert (token, now.refresh_token != first.refresh_token) == (now.access_token, True)
    assert await spent() == (1, 1)
