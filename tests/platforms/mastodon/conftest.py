"""A stand-in for each test, and one real snac for all tests of a worker."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.sandbox.sites.mastodon import MastodonSite
from tests.conftest import tool
from tests.mastodon.server import RealSnac
from tests.support.running import MovedClock, Running, running

from .connected import Connected
from .servers import AnyServer, Real, StandIn


@pytest.fixture(scope="session")
def real_snac() -> Iterator[RealSnac]:
    with RealSnac.started(tool("tests/mastodon/install")) as server:
        yield server


@asynccontextmanager
async def standing_in(*, is_snac: bool = False) -> AsyncIterator[StandIn]:
    site = MastodonSite(is_snac=is_snac)
    await site.start()
    try:
        yield StandIn(site)
    finally:
        await site.stop()


@pytest.fixture(params=["sandbox", "real"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[AnyServer]:
    """A server in snac's words: the stand-in, and a real snac."""
    if request.param == "real":
        yield Real(request.getfixturevalue("real_snac"))
        return
    async with standing_in(is_snac=True) as stand_in:
        yield stand_in


@pytest.fixture
async def mastodon() -> AsyncIterator[StandIn]:
    """The stand-in in Mastodon's words."""
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
def clock() -> MovedClock:
    """The clock of a service under test."""
    return MovedClock()


def settings(*origins: str) -> dict[str, str]:
    """Settings that trust *origins*; checks are asked for by the tests."""
    return {"TRUSTED_ORIGINS": ",".join(origins), "CHECK_HOURS": "24"}


@pytest.fixture
async def service(mastodon: StandIn, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    """The whole service, towards `mastodon`."""
    async with running(database, settings(mastodon.origin), clock) as started:
        yield started


@pytest.fixture
async def connected(service: Running, mastodon: StandIn, clock: MovedClock) -> Connected:
    """A connection at `mastodon`."""
    connected = Connected(service, mastodon, clock, await mastodon.person())
    await connected.connect()
    return connected


@pytest.fixture
async def elsewhere(
    server: AnyServer, database: Path, clock: MovedClock
) -> AsyncIterator[Connected]:
    """A connection at `server`, which speaks as snac does."""
    async with running(database, settings(server.origin), clock) as started:
        connected = Connected(started, server, clock, await server.person())
        await connected.connect()
        yield connected
