"""A separate internet for each test; the certificate authorities are created once."""

import logging
from collections.abc import AsyncIterator, Iterator

import certifi
import pytest
from structlog.testing import capture_logs

from .bluesky_login import LyingBluesky
from .internet import Internet
from .raw import RawServer
from .watch import Watch
from .web import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that only the operator trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def public_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Replaces the public roots: loading the real ones takes 60 ms per test."""
    return Authority(tmp_path_factory.mktemp("public"))


@pytest.fixture
async def internet(
    authority: Authority, public_authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Internet]:
    monkeypatch.setattr(certifi, "where", lambda: str(public_authority.roots))
    async with Internet.started(authority) as internet:
        yield internet


@pytest.fixture
async def raw() -> AsyncIterator[RawServer]:
    """A server that the operator may trust."""
    async with RawServer.started() as server:
        yield server


@pytest.fixture
async def trap() -> AsyncIterator[RawServer]:
    """A server that must not be connected to."""
    async with RawServer.started() as server:
        yield server
        assert server.connections == 0


@pytest.fixture
def bluesky(internet: Internet, raw: RawServer) -> LyingBluesky:
    return LyingBluesky(internet, raw)


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Iterator[Watch]:
    """Watches everything that is logged, at any level."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as events:
        yield Watch(caplog, events)
