"""A sandbox of its own for each test, its clock in the test's hand."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from service.sandbox.accounts import Account
from service.sandbox.server import SandboxServer
from service.sandbox.world import World, plant

from .caller import Caller, client


@dataclass
class Clock:
    """A clock that stands until it is moved, in seconds since 1970."""

    at: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    return plant(World(now=clock))


@pytest.fixture
def user(world: World) -> Account:
    account = world.find("user.bsky.social")
    assert account
    return account


@pytest.fixture
async def server(world: World) -> AsyncIterator[SandboxServer]:
    server = SandboxServer(world)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def caller(server: SandboxServer) -> AsyncIterator[Caller]:
    async with client(server.origin) as http:
        yield Caller(http)
