"""Fixtures of the Ghost tests: a site, and a service that may reach it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import tool
from tests.ghost.server import RealGhost
from tests.support.running import MovedClock, Running, running

from .sites import RealSite, SandboxSite, Site, settings, started_stand_in


@pytest.fixture(scope="session")
def real_ghost() -> Iterator[RealGhost]:
    """A real site, shared by the tests of one worker; each makes an integration of its own."""
    folder = tool("tests/ghost/install")
    # in a thread, since a test's own event loop may be running here
    with ThreadPoolExecutor(1) as thread:
        ghost = thread.submit(asyncio.run, RealGhost.start(folder)).result()
        yield ghost
        thread.submit(asyncio.run, ghost.stop()).result()


@pytest.fixture(params=["sandbox", "real"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    if request.param == "real":
        ghost: RealGhost = request.getfixturevalue("real_ghost")
        yield RealSite(ghost, await ghost.create_integration("postcore"))
        return
    async with started_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
async def stand_in() -> AsyncIterator[SandboxSite]:
    async with started_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def clock() -> MovedClock:
    """The clock of the service."""
    return MovedClock()


@pytest.fixture
async def service(site: Site, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    """The whole service, which may reach `site`; the tests request the checks."""
    async with running(database, {**settings(site), "CHECK_HOURS": "24"}, clock) as started:
        yield started


@pytest.fixture
async def alone(stand_in: SandboxSite, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    """The same, towards the stand-in."""
    async with running(database, {**settings(stand_in), "CHECK_HOURS": "24"}, clock) as started:
        yield started
