"""Sharing: one sandbox and one service for all tests of a worker, and a tenant for each test.

For modules that change no setting and no clock, and that stop nothing:

    sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
"""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import uvloop

from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running

ENOUGH_SECONDS = 30.0
TABLES = (
    *("events", "event_marks", "leases", "login_debits", "login_pauses", "idempotency_records"),
    *("sessions", "credentials", "connections", "profiles", "api_keys", "tenants"),
)
"""The tables that hold what tests have left, in the order in which they can be emptied."""


@dataclass
class Shared:
    """What runs in a loop of its own, in a thread of its own."""

    sandbox: SandboxBluesky
    service: Running
    loop: asyncio.AbstractEventLoop
    end: asyncio.Event = field(default_factory=asyncio.Event)
    standing: set[asyncio.Task[Any]] = field(default_factory=set)

    @asynccontextmanager
    async def tenant(self) -> AsyncIterator[Running]:
        """The service, as a tenant that is gone with the block."""
        address = self.service.address
        async with grpc.aio.insecure_channel(address) as channel:
            tenant = Running(self.service.settings, address, channel, http=self.service.http)
            await tenant.become_a_tenant()
            yield tenant
        # nothing is left to the next test, once all that this one has begun is over
        self.sandbox.server.breakages.clear()
        over = asyncio.run_coroutine_threadsafe(self._over(), self.loop)
        await asyncio.wrap_future(over)
        self._empty()

    async def _over(self) -> None:
        async with asyncio.timeout(ENOUGH_SECONDS):
            while asyncio.all_tasks() - self.standing - {asyncio.current_task()}:
                await asyncio.sleep(0.001)

    def _empty(self) -> None:
        file = self.service.database
        with closing(sqlite3.connect(file, timeout=ENOUGH_SECONDS)) as database, database:
            database.execute("BEGIN IMMEDIATE")
            for table in TABLES:
                database.execute(f"DELETE FROM {table}")


async def _serve(database: Path, started: "Future[Shared]") -> None:
    try:
        async with (
            SandboxBluesky.started() as sandbox,
            running(database, sandbox.settings()) as service,
        ):
            shared = Shared(sandbox, service, asyncio.get_running_loop())
            await asyncio.sleep(0.1)  # until each part of the service has begun to wait
            shared.standing = asyncio.all_tasks()
            started.set_result(shared)
            await shared.end.wait()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


@pytest.fixture(scope="session")
def shared(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    database = Path(shutil.copy(empty_database, folder / "postcore.db"))
    started: Future[Shared] = Future()
    thread = threading.Thread(target=lambda: uvloop.run(_serve(database, started)))
    thread.start()
    shared = started.result(ENOUGH_SECONDS)
    yield shared
    shared.loop.call_soon_threadsafe(shared.end.set)
    thread.join()


@pytest.fixture
def sandbox(shared: Shared) -> SandboxBluesky:
    """With no breakages, and no calls counted."""
    shared.sandbox.server.breakages.clear()
    shared.sandbox.server.counts.clear()
    return shared.sandbox


@pytest.fixture
async def sandboxed(shared: Shared) -> AsyncIterator[Running]:
    """The whole service, as a tenant of the test's own."""
    async with shared.tenant() as tenant:
        yield tenant
