"""The capacity figures, small enough for every run of the suite."""

from pathlib import Path

import pytest

from tests.figures.capacity import CHECKS, CONNECTS, Cost, Found, measured, outlook


@pytest.mark.timeout(120)
async def test_the_figures_are_produced(postgres_programs: Path, tmp_path: Path) -> None:
    """Connects and checks are counted; their values are not judged here."""
    found = await measured(tmp_path, postgres_programs, rounds=1, seconds=2)
    assert found.costs[CONNECTS][0].count
    assert found.costs[CHECKS][0].count
    assert min(found.stored, found.received, found.sent) > 100
    assert len(outlook(found)) == 5


def test_the_table_multiplies_the_cost_of_a_check() -> None:
    check = Cost(count=10, seconds=1, own=0.1, database=0.02, commits=30, wal=2**20)
    rows = outlook(Found({CHECKS: [check]}, stored=2**30 / 1e6, received=1e6 / 8, sent=2e6 / 8))
    # a million: 46.3 checks a second, 0.463 of a core, in processes that have half of one
    assert rows[3].split()[:5] == ["1,000,000", "46.3", "1", "0.093", "138.9"]
    assert rows[4].split()[2] == "10"
