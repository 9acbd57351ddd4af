"""An internet of its own for each test; the certificate authorities are made once."""

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
    """Known to the operator alone."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def public_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Stands for all that the world trusts: reading the real roots takes each test 60 ms."""
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
    """A server that nothing may ever connect to."""
    async with RawServer.started() as server:
        yield server
        assert server.connections == 0


@pytest.fixture
def bluesky(internet: Internet, raw: RawServer) -> LyingBluesky:
    return LyingBluesky(internet, raw)


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Iterator[Watch]:
    """Over all that is logged meanwhile, by anybody, at any level."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as events:
        yield Watch(caplog, events)
