"""The machine with fixed seeds; `python -m tests.machine` runs more of them."""

from pathlib import Path

import pytest

from .run import run


@pytest.mark.parametrize("seed", range(4))
def test_only_proof_raises_the_flag(seed: int, empty_database: Path) -> None:
    """In any order of steps, a flag needs proof, and proof sets a flag within a round.

    Events match rows, and logins stay within their budgets and at the account's own server.
    """
    run(empty_database, seed, examples=6)
