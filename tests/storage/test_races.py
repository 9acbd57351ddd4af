"""Processes that write to the same rows of one PostgreSQL at the same moment."""

import os
from collections import Counter

from tests.support.racing import CALLS, raced

ROUNDS = int(os.environ.get("RACE_ROUNDS", "20"))
"""RACE_ROUNDS=200 for the long form."""


async def test_a_race_is_no_fault_of_ours(postgres_url: str) -> None:
    """Two processes that create, connect, delete, disconnect, debit and reserve: every call ends
    as if it had come before or after the others, or with a refusal that has a reason."""
    outcomes = await raced(postgres_url, ROUNDS)
    assert outcomes.total() == 2 * CALLS * ROUNDS
    assert {name: count for name, count in outcomes.items() if "INTERNAL" in name} == {}
    assert outcomes["done"] > outcomes.total() / 3
    # no conflict lasts so long that a caller has to hear of it
    assert outcomes["ServiceUnavailable"] <= outcomes.total() / 100, Counter(outcomes)
