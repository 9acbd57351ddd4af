"""A stand-in for each test, and one real site for all tests of a worker."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.sandbox.sites.wordpress import WordPressSite
from tests.conftest import tool
from tests.support.running import MovedClock, Running, running
from tests.wordpress.server import RealWordPress

from .connected import Connected
from .sites import AnySite, Real, StandIn


@pytest.fixture(scope="session")
def real_wordpress() -> Iterator[RealWordPress]:
    with RealWordPress.started(tool("tests/wordpress/install")) as site:
        yield site


@asynccontextmanager
async def standing_in(folder: str = "") -> AsyncIterator[StandIn]:
    site = WordPressSite(folder)
    await site.start()
    try:
        yield StandIn(site)
    finally:
        await site.stop()


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with standing_in() as site:
        yield site


@pytest.fixture(params=["sandbox", "real"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[AnySite]:
    """A site with users to make: the stand-in, and a real WordPress. Its plugins go in the end."""
    if request.param == "sandbox":
        async with standing_in() as site:
            yield site
        return
    real = Real(request.getfixturevalue("real_wordpress"))
    yield real
    await real.unplug()
    await real.set_maintenance(False)
    real.site.set_database(True)


@pytest.fixture
def clock() -> MovedClock:
    """The clock of a service under test."""
    return MovedClock()


def settings(*origins: str) -> dict[str, str]:
    """Settings that trust *origins*; checks are asked for by the tests."""
    return {"TRUSTED_ORIGINS": ",".join(origins), "CHECK_HOURS": "24"}


@pytest.fixture
async def service(site: AnySite, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    """The whole service, towards `site`."""
    async with running(database, settings(site.origin), clock) as started:
        yield started


@pytest.fixture
async def connected(service: Running, site: AnySite, clock: MovedClock) -> Connected:
    connected = Connected(service, site, clock, await site.person())
    await connected.connect()
    return connected
