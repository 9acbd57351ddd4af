"""A client of the HTTP edge, and a home to serve in."""

from collections.abc import AsyncIterator

import pytest

from tests.cli.conftest import api_key, empty_home, home
from tests.support.running import Running
from tests.transport.http.edge import Edge

__all__ = ["api_key", "empty_home", "home"]


@pytest.fixture
async def edge(sandboxed: Running) -> AsyncIterator[Edge]:
    async with Edge.of(sandboxed) as edge:
        yield edge
