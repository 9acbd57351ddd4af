"""Shared credentials: an account moves between its platform's own servers, and its secrets
follow."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.platforms.bluesky import adapter
from tests.conformance.sandbox import Sandbox
from tests.connections.health_support import HEALTHY, HOUR, status_of
from tests.support.bluesky import CREATE, Person
from tests.support.running import MovedClock, Running, running


@pytest.fixture
async def bluesky(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Two servers that may share credentials."""
    monkeypatch.setattr(
        adapter, "BLUESKY_SERVER", re.compile(r"http://(127\.0\.0\.1|localhost):\d+")
    )
    async with Sandbox.open() as sandbox:
        yield sandbox


@pytest.fixture
async def service(bluesky: Sandbox, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    both = f"{bluesky.origin},{bluesky._network.second.home.origin}"
    settings = {**bluesky.settings(), "TRUSTED_ORIGINS": both, "CHECK_HOURS": "24"}
    async with running(database, settings, clock) as started:
        yield started


async def move_account(bluesky: Sandbox, person: Person) -> str:
    """Move *person* and the app password; return the new server's origin."""
    origin = await bluesky.migrate(person)
    bluesky._network.create_app_password(person.did, called="moved", password=person.app_password)
    return origin


@pytest.mark.parametrize("session", ["opens", "does not open"])
async def test_secrets_follow_an_account_between_servers_that_share_credentials(
    service: Running, bluesky: Sandbox, clock: MovedClock, session: str
) -> None:
    """They are sealed for the new server. If the session does not open, the password creates
    another with one login."""
    person = await bluesky.person()
    key = (await service.connect(person.handle, person.app_password)).profile_key
    before = (await bluesky.counts()).get(CREATE, 0)
    origin = await move_account(bluesky, person)
    if session == "does not open":
        await service.execute("UPDATE sessions SET envelope = ?", b"cut")
    clock.ahead = 25 * HOUR
    bluesky.pass_time(25 * 3600)
    assert status_of(await service.verify(key)) == HEALTHY
    lease = await service.lease(key)
    assert (lease.service_endpoint, lease.access_token) == (origin, service.session().access_token)
    assert (await bluesky.counts()).get(CREATE, 0) == before
    debits = service.rows("SELECT origin FROM login_debits WHERE purpose = 'upkeep'")
    assert [debit["origin"] for debit in debits] == [origin]
