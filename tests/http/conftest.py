"""A client of the HTTP edge, and a home to serve in."""

from collections.abc import AsyncIterator

import pytest

from tests.command.conftest import api_key, empty_home, home
from tests.http.edge import Edge
from tests.running import Running

__all__ = ["api_key", "empty_home", "home"]


@pytest.fixture
async def edge(sandboxed: Running) -> AsyncIterator[Edge]:
    async with Edge.of(sandboxed) as edge:
        yield edge
