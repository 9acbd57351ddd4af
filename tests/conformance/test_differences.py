"""The differences that are meant to be: each of them is still one."""

import pytest

from .caller import Caller
from .differences import DIFFERENCES, Difference

by_name = pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.name)


@by_name
async def test_each_answers_as_the_table_says(call: Caller, difference: Difference) -> None:
    """A difference that is meant."""
    expected = {"sandbox": difference.sandbox, "real": difference.real}

    assert await difference.ask(call) == expected[call.server.name]


@by_name
def test_the_table_holds_differences_alone(difference: Difference) -> None:
    """What is the same on both has no place among the differences."""
    assert difference.sandbox != difference.real
