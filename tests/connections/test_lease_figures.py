"""The figures of leases, small enough for every run; `python -m tests.figures leases` has them
whole."""

from pathlib import Path

import pytest

from tests.conftest import tool
from tests.figures.leases import life, speed
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky


async def test_a_thousand_leases_cost_one_login(pds: RealServer, database: Path) -> None:
    """And a refresh for each time that the token expired."""
    assert await life(RealBluesky(pds), database, leases=1_000, expiries=10) == (1, 10)


@pytest.mark.real
@pytest.mark.timeout(180)
async def test_a_lease_is_many_times_faster_than_a_login(database: Path) -> None:
    """At the median, on a busy machine too; three hundred times on an idle one."""
    folder = tool("tests/pds/install")
    async with await RealServer.start(folder, app_view=True) as server:
        assert (await speed(RealBluesky(server), database, logins=5)).ratio >= 10
