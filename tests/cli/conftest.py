"""Homes for commands: an empty one, and one with a keyring, a database and a key to call with."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.app.startup import create_api_key, open_store
from service.cli.main import cli
from service.crypto.keyring import create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.model import DEFAULT_SCOPES, Scope, Tenant
from service.runtime import log
from tests.cli.home import Home, Outcome
from tests.cli.terminal import Terminal
from tests.support.running import Running

TENANT = "ten_test"


@pytest.fixture
def empty_home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def home(empty_home: Home, empty_database: Path) -> Home:
    create_keyring(empty_home.keyring, new_keys("test"))
    shutil.copy(empty_database, empty_home.database)
    return empty_home


@pytest.fixture
async def api_key(home: Home) -> str:
    """An API key in `home`, made in this process: a command would take a second."""
    return await _key(home, DEFAULT_SCOPES)


@pytest.fixture
async def leasing_key(home: Home) -> str:
    """An API key with every scope."""
    return await _key(home, frozenset(Scope))


async def _key(home: Home, scopes: frozenset[Scope]) -> str:
    async with open_store(home.settings()) as store:
        await store.tenants.create(Tenant(TENANT, "test", SystemClock().now()))
    key = await create_api_key(home.settings(), TENANT, "test", scopes)
    assert key is not None
    return key


@pytest.fixture
def run_here(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run commands in `home` inside this process, for tests of what they print."""
    monkeypatch.chdir(home.folder)
    # log and exception hooks belong to the test run
    monkeypatch.setattr(log, "configure", lambda *_: None)
    monkeypatch.setattr(log, "log_uncaught", lambda: None)

    def run(*arguments: str) -> Outcome:
        done = CliRunner().invoke(cli, arguments, env=home.environ(), catch_exceptions=False)
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def terminal(sandboxed: Running, tmp_path: Path) -> Terminal:
    """`postcore client` as the test's tenant, in an empty folder."""
    return Terminal(tmp_path, sandboxed.address, sandboxed.api_key)
