"""Figures of leases at a small scale; `python -m tests.figures leases` measures them in full."""

from pathlib import Path

import pytest

from tests.conftest import tool
from tests.figures.leases import life, speed
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky


async def test_a_thousand_leases_cost_one_login(pds: RealServer, database: Path) -> None:
    """They also cost one refresh for each expiry of the token."""
    assert await life(RealBluesky(pds), database, leases=1_000, expiries=10) == (1, 10)


@pytest.mark.real
@pytest.mark.timeout(180)
async def test_a_lease_is_many_times_faster_than_a_login(database: Path) -> None:
    """This compares medians, also on a busy machine; on an idle one the factor is three hundred."""
    folder = tool("tests/pds/install")
    async with await RealServer.start(folder, app_view=True) as server:
        assert (await speed(RealBluesky(server), database, logins=5)).ratio >= 10
