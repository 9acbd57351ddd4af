"""A tenth of every attack, for `make check`."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.attack.row import Figure, Ground, Row
from tests.attack.rows import ROWS
from tests.conftest import tool


@pytest.fixture
def collected() -> Iterator[None]:
    """Attackers leave sockets open; collect them within the test that left them."""
    yield
    gc.collect()


async def _attacked(row: Row, ground: Ground) -> Sequence[Figure]:
    return await row.attack(ground, 0.1)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}")
def test_a_tenth_of_the_attack(row: Row, postgres_programs: Path, tmp_path: Path) -> None:
    """Every promise of SECURITY.md holds against a tenth of its attack."""
    ground = Ground(tmp_path, tool("tests/pds/install"), postgres_programs)
    # in asyncio's own event loop, as in `make attack`; the service runs in its own process
    figures = list(asyncio.run(_attacked(row, ground)))
    assert figures
    assert [figure for figure in figures if figure.holds is False] == []


def test_each_row_number_occurs_once() -> None:
    """The table has every number once, in order."""
    numbers = [row.number for row in ROWS]
    assert numbers == sorted(set(numbers))
