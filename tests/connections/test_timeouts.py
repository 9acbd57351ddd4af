"""Timeouts: limits that depend on each other agree, also with constants of other modules."""

import pytest

from service.connections.timeouts import TIMEOUTS, Timeouts
from service.storage import postgres
from service.transport import boundary


def test_limits_equal_those_of_other_modules() -> None:
    assert TIMEOUTS.call == boundary.DEFAULT_SECONDS
    assert TIMEOUTS.write == postgres.WRITE_SECONDS


@pytest.mark.parametrize(
    ("name", "seconds", "minimum"),
    [
        ("call", 9.4, "9.5"),
        ("reservation", 44, "45"),
        ("claim", 38, "38.5"),
        ("claim_wait", 39, "40"),
        ("picked", 84, "85"),
    ],
)
def test_a_limit_that_is_too_short_is_rejected(name: str, seconds: float, minimum: str) -> None:
    """Example: a limit that is shorter than the steps it covers."""
    with pytest.raises(ValueError, match=f"{name} must be at least {minimum} seconds"):
        Timeouts(**{name: seconds})
