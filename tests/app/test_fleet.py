"""Fleet: three nodes on one PostgreSQL, whose callers notice neither crashes nor drains.

`python -m tests.figures nodes` does the same for longer, and has the figures.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.figures.nodes import NODES, Stage, drained, killed, stage
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky

SECONDS = 20.0


@pytest.fixture
async def on(pds: RealServer, postgres_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, RealBluesky(pds), postgres_url) as on:
        yield on


@pytest.mark.timeout(240)
async def test_a_node_is_killed(on: Stage) -> None:
    """Callers, connects and checks are under way with it. No call fails, acknowledged data is kept,
    its claims and reservations are freed, and no login or check happens twice."""
    of_killing = await killed(on, SECONDS)
    assert of_killing.met, of_killing
    assert of_killing.right, of_killing


@pytest.mark.timeout(240)
async def test_all_nodes_are_drained(on: Stage) -> None:
    """They are replaced one after the other, as in an upgrade: no call fails or is repeated."""
    for tally in await drained(on, NODES):
        assert (tally.failed, tally.lost, tally.retried) == (0, 0, 0), tally
    assert await on.missing() == 0
