"""What the tests share: real servers, a service of one's own, and what to do without them."""

import os

# uvloop forks to start a program; gRPC's fork handlers crash about 1 in 100 of these children
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import asyncio
import faulthandler
import gc
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from service.runtime import log
from service.storage.migrations import migrate_apart
from service.transport import boundary
from tests.pds.server import RealServer
from tests.support import tiers
from tests.support.bluesky import Bluesky, RealBluesky, SandboxBluesky
from tests.support.postgres import Cluster, apart, binaries
from tests.support.running import Running, running
from tests.support.sharing import shared

if TYPE_CHECKING:
    from tests.support.browser import Chromium

__all__ = ["shared"]

ROOT = Path(__file__).parent.parent
MAX_TEARDOWN_SECONDS = 180.0
"""Longer than the end of any test's fixtures takes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nothing-left-out",
        action="store_true",
        help="fail, rather than skip, where something that a test needs is missing",
    )


def pytest_configure(config: pytest.Config) -> None:
    # under nohup the signal is ignored, and programs that tests start would inherit that
    signal.signal(signal.SIGHUP, lambda *_: None)
    # folders that tests make are for a database to be in: a group's bit would have it refused
    os.umask(0o022)
    # as the service logs: unconfigured, structlog shows exceptions with the values around them
    log.configure("console", "info")
    # How long an example takes depends on the machine. The examples are the same in each run, so
    # that no run fails by chance; `make fuzz` and --hypothesis-seed=N try others.
    settings.register_profile(
        "ours",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=config.getoption("hypothesis_seed") is None,
    )
    settings.load_profile("ours")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}  # as the commands run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tiers.mark(item)


def pytest_collection_finish() -> None:
    # modules and collected tests stay: to look through them took a fifth of the run
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """End the process, with its stacks, where the limit of a test cannot end it.

    The limit is a signal. uvloop's close serves none: it waits until every socket is closed, and a
    test that fails may have left one open. The run then reports which test the worker was in.
    """
    faulthandler.dump_traceback_later(MAX_TEARDOWN_SECONDS, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> None:
    """Let no quick test ask for more than it may, in a way that its tier does not show."""
    if request.config.getoption("markexpr") == "quick" and fixturedef.argname in tiers.FIXTURES:
        pytest.fail(f"a quick test asks for {fixturedef.argname}; give it the mark of its tier")


LEFT = pytest.StashKey[Counter[str]]()
"""How many tests of each tier were not selected."""


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[LEFT] = tiers.counted(items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):  # one of xdist's workers, each of which selects for itself
        left = config.stash.get(LEFT, None)
        config.workeroutput["left"] = dict(left or {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT] = Counter(getattr(node, "workeroutput", {}).get("left", {}))


PASSED = count(1)


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    if report.when == "call" and report.passed and config.getoption("markexpr") == "quick":
        return "passed", "" if next(PASSED) % 20 else ".", "PASSED"  # two lines of dots, not fifty
    return None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left = config.stash.get(LEFT, None)
    if left and config.getoption("markexpr") == "quick":
        terminalreporter.write_line(tiers.sentence(left))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--nothing-left-out"):
        report.outcome = "failed"
        report.longrepr = f"left out: {report.longrepr}"
    return report


def tool(script: str) -> Path:
    """What an installer among the tests has put in place; skips the test where it has not."""
    found = subprocess.run([ROOT / script, "--check"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"{script} has not been run, or could not: {found.stderr.strip()}")
    return Path(found.stdout.strip())


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    return tool("tests/tools/install-grpcurl")


@pytest.fixture(scope="session")
def webhook_libraries() -> Path:
    """A folder with the public libraries for TypeScript and Go."""
    return tool("tests/webhook_libraries/install")


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("chromium is not installed")


@pytest.fixture(scope="session")
def browser(chromium: str) -> "Iterator[Chromium]":
    """A Chromium, shared by the tests of one worker; each story has a page of its own."""
    # imported here: most tests need no browser
    from tests.support.browser import Chromium

    with Chromium.started(chromium) as browser:
        yield browser


@pytest.fixture(scope="session")
def buf() -> Path:
    return Path(sys.executable).with_name("buf")


@pytest.fixture(scope="session")
def pds() -> Iterator[RealServer]:
    """A real Bluesky server, shared by the tests of one worker; each makes accounts of its own."""
    folder = tool("tests/pds/install")
    # in a thread, since a test's own event loop may be running here
    with ThreadPoolExecutor(1) as thread:
        start = RealServer.start(folder, login_floor=False)
        server = thread.submit(asyncio.run, start).result()
        yield server
        thread.submit(asyncio.run, server.stop()).result()


@pytest.fixture(params=["sandbox", "real"])
async def bluesky(request: pytest.FixtureRequest) -> AsyncIterator[Bluesky]:
    """A Bluesky with accounts to make: the sandbox, and the real server."""
    if request.param == "real":
        yield RealBluesky(request.getfixturevalue("pds"))
        return
    async with SandboxBluesky.started() as sandbox:
        yield sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxBluesky]:
    async with SandboxBluesky.started() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in today's schema, to be copied: a migration takes a second."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    path.touch(0o600)  # as a start makes it
    assert migrate_apart(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "postcore.db"))


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL's server is not installed (on Debian: apt install postgresql)")
    return found


@pytest.fixture(scope="session")
def postgres(postgres_programs: Path) -> Iterator[Cluster]:
    """A PostgreSQL server, shared by the tests of one worker; each has a database of its own."""
    cluster = Cluster.started(postgres_programs)
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres: Cluster) -> str:
    """The name of a database in today's schema, to be copied."""
    name = apart(postgres.new_database())
    assert migrate_apart(postgres.url(name))
    return name


@pytest.fixture
def postgres_url(postgres: Cluster, postgres_template: str) -> Iterator[str]:
    name = apart(postgres.new_database(postgres_template))
    yield postgres.url(name)
    apart(postgres.drop(name))


@pytest.fixture
def engine() -> str:
    """What keeps the store; modules that run on both put another fixture in its place."""
    return "sqlite"


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest) -> str:
    """An empty database in today's schema."""
    if engine == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{request.getfixturevalue('database')}"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The fields of each line that the boundary logs for a call."""
    lines: list[dict[str, Any]] = []

    class Noting:
        def info(self, _: str, **fields: Any) -> None:
            lines.append(fields)

    monkeypatch.setattr(boundary, "call_log", Noting())
    return lines


@pytest.fixture
async def service(bluesky: Bluesky, database: Path, database_url: str) -> AsyncIterator[Running]:
    """The whole service on a port of its own, towards `bluesky`."""
    given = {**bluesky.settings(), "DATABASE_URL": database_url}
    async with running(database, given) as started:
        yield started


@pytest.fixture
async def alone(
    sandbox: SandboxBluesky, database: Path, database_url: str
) -> AsyncIterator[Running]:
    """The whole service on a port of its own, in the test's event loop, towards `sandbox`."""
    given = {**sandbox.settings(), "DATABASE_URL": database_url}
    async with running(database, given) as started:
        yield started


@pytest.fixture
def sandboxed(alone: Running) -> Running:
    """The same; modules that can share one service put tests/support/sharing.py's in its place."""
    return alone
