"""A stand-in for each test, and one real site for all tests of a worker."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from service.sandbox.sites.wordpress import WordPressSite
from tests.conftest import tool
from tests.wordpress.server import RealWordPress

from .sites import Real, StandIn, AnySite


@pytest.fixture(scope="session")
def real_wordpress() -> Iterator[RealWordPress]:
    with RealWordPress.started(tool("tests/wordpress/install")) as site:
        yield site


@asynccontextmanager
async def standing_in(folder: str = "") -> AsyncIterator[StandIn]:
    site = WordPressSite(folder)
    await site.start()
    yield StandIn(site)
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
