"""Figures of leases at a small scale; `python -m tests.figures leases` measures them in full."""

from pathlib import Path

import pytest

from tests.conftest import tool
from tests.figures import site_leases
from tests.figures.leases import life, speed
from tests.figures.site_leases import WAYS
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


@pytest.mark.parametrize(
    ("platform", "way"), [(platform, way) for platform, ways in WAYS.items() for way in ways]
)
@pytest.mark.slow
async def test_a_renewal_uses_the_credential_once_at_most(
    platform: str, way: str, database: Path
) -> None:
    """At a stand-in: without a fault never, but where the credential itself is lent."""
    spent = await site_leases.life(platform, way, database, leases=70, expiries=6)
    is_renewed = platform == "wordpress" or way == site_leases.REJECTED
    assert spent.renewals == (6 if is_renewed else 0)
    renewals_with_it = {
        site_leases.PLAIN: 0,
        site_leases.REJECTED: 0 if platform == "wordpress" else 6,
        site_leases.DELETED: 3,
    }
    assert spent.uses == 1 + renewals_with_it[way]
