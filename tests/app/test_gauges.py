"""Gauges: what the loops learn of the store."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from service.app import gauges
from service.connections.monitor import Monitor
from service.transport.http import admin
from tests.support.bluesky import SandboxBluesky
from tests.support.running import MovedClock, Running, running
from tests.support.scraping import Scrape, scraped

HOUR = 3600
DAY = 24 * HOUR
MICROS = 1_000_000


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops rest a little, each scrape is written, and the monitor checks nothing."""
    for name in ("LAG_INTERVAL_SECONDS", "MIN_COUNT_INTERVAL_SECONDS", "COUNT_REST"):
        monkeypatch.setattr(gauges, name, 0.01)
    monkeypatch.setattr(gauges, "PAGE", 1)
    monkeypatch.setattr(admin, "SCRAPE_SECONDS", 0.0)

    async def rest(_: Monitor) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Monitor, "run", rest)


async def until(service: Running, is_there: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until the metrics are as expected."""
    async with asyncio.timeout(20):
        while not is_there(found := await scraped(service.admin)):
            await asyncio.sleep(0.02)
    return found


async def test_connections_are_counted(sandbox: SandboxBluesky, database: Path) -> None:
    """By platform and state, of all tenants; rows by the state of the key that they name."""
    async with running(database, sandbox.settings()) as service:
        for _ in range(2):
            person = await sandbox.person()
            key = (await service.connect(person.handle, person.app_password)).profile_key
        await service.execute("UPDATE connections SET state = 'BROKEN' WHERE profile_key = ?", key)
        await service.execute("UPDATE sessions SET ring_key_id = 'gone' WHERE profile_key = ?", key)
        name = "postcore_connections"
        found = await until(
            service,
            lambda found: (
                found.value(name, state="BROKEN") == 1
                and found.value("postcore_keyring_rows", key_state="missing") == 1
            ),
        )
        assert found.value(name, platform="bluesky", state="HEALTHY") == 1
        assert found.value(name) == 2
        # two credentials, and the session of the other
        assert found.value("postcore_keyring_rows", key_state="active") == 3


async def test_the_monitors_lag_is_the_age_of_the_oldest_due_check(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """Zero while none is due, and never negative: also by a clock that was put back."""
    clock = MovedClock()
    async with running(database, sandbox.settings(), clock) as service:
        person = await sandbox.person()
        await service.connect(person.handle, person.app_password)
        name = "postcore_monitor_lag_seconds"
        assert (await scraped(service.admin)).value(name) == 0
        clock.ahead = DAY * MICROS
        found = await until(service, lambda found: found.value(name) > 0)
        assert 12 * HOUR < found.value(name) < DAY
        clock.ahead = -DAY * MICROS
        await until(service, lambda found: found.value(name) == 0)
