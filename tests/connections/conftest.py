"""What the tests of connections share."""

import pytest

from tests.support.running import MovedClock


@pytest.fixture
def clock() -> MovedClock:
    """The clock of a service under test."""
    return MovedClock()
