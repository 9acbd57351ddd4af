"""Homes for commands: an empty one, and one with a keyring, a database and a key to call with."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.access.api_keys import ApiKeys
from service.app.startup import open_store, open_vault
from service.cli.main import cli
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.model import DEFAULT_SCOPES, Scope, Tenant
from service.runtime import log
from tests.cli.home import Home, Outcome

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
    """A key in `home`, made in this process, since a command takes a second."""
    return await _key(home, DEFAULT_SCOPES)


@pytest.fixture
async def leasing_key(home: Home) -> str:
    """One that may do everything."""
    return await _key(home, frozenset(Scope))


async def _key(home: Home, scopes: frozenset[Scope]) -> str:
    clock, keyring = SystemClock(), Keyring(home.keyring)
    async with open_store(home.settings()) as store:
        await open_vault(store, keyring)
        await store.tenants.create(Tenant(TENANT, "test", clock.now()))
        plain, key = ApiKeys(store.api_keys, keyring, clock).mint(TENANT, "test", scopes)
        assert await store.api_keys.add(key)
    return plain


@pytest.fixture
def run_here(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs commands in `home` and in this process, where what they print is all that matters."""
    monkeypatch.chdir(home.folder)
    # the log and what is uncaught are the test run's own
    monkeypatch.setattr(log, "configure", lambda *_: None)
    monkeypatch.setattr(log, "log_uncaught", lambda: None)

    def run(*arguments: str) -> Outcome:
        done = CliRunner().invoke(cli, arguments, env=home.environ(), catch_exceptions=False)
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return run
