"""The machine, run: the same each time here; `python -m tests.machine` goes further."""

from pathlib import Path

import pytest

from .run import run


@pytest.mark.parametrize("seed", range(4))
def test_only_proof_raises_the_flag(seed: int, empty_database: Path) -> None:
    """Whatever happens in whatever order: no flag without proof, no proof without a flag after a
    round, events that tell what the rows say, logins within their budgets and at home alone."""
    run(empty_database, seed, examples=6)
