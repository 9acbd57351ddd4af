"""Both servers, and a caller of each for every test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import tool
from tests.pds.server import RealServer

from .caller import Caller
from .real import Real, StrictReal
from .sandbox import Sandbox
from .servers import Server, Strict
from .table import note


@pytest.fixture(scope="session")
def real(pds: RealServer) -> Real:
    return Real(pds)


@pytest.fixture(params=["sandbox", "real"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server that takes logins without a wait: the sandbox, and the real one."""
    if request.param == "real":
        yield request.getfixturevalue("real")
        return
    async with Sandbox.open() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def strict_pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictReal]:
    """A real server with all its limits, shared by the tests of one worker."""
    folder, data = tool("tests/pds/install"), tmp_path_factory.mktemp("pds")
    # in a thread, since a test's own event loop may be running here
    with ThreadPoolExecutor(1) as thread:
        strict = thread.submit(asyncio.run, StrictReal.start(folder, data)).result()
        yield strict
        thread.submit(asyncio.run, strict.server.stop()).result()


@pytest.fixture(params=["sandbox", "real"])
async def strict(request: pytest.FixtureRequest) -> AsyncIterator[Strict]:
    """A server with all its limits, whose clock the test can move."""
    if request.param == "real":
        yield request.getfixturevalue("strict_pds")
        return
    async with Sandbox.open(strict=True) as sandbox:
        yield sandbox


@pytest.fixture
async def call(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    """A caller with an account that the test may change."""
    async with Caller.about(await server.person(), server) as caller:
        yield caller
    note(request.node, caller)


@pytest.fixture
async def anyone(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    """A caller with a shared account, which the test must not change."""
    async with Caller.about(await server.resident(), server) as caller:
        yield caller
    note(request.node, caller)
