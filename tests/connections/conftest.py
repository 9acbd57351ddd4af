"""Shared fixtures of the connection tests."""

import pytest

from tests.support.running import MovedClock


@pytest.fixture
def clock() -> MovedClock:
    """The clock of a service under test."""
    return MovedClock()
