"""Sharing: one sandbox and one service for all tests of a worker, with a tenant for each test.

For modules that change no setting and no clock, and stop nothing:

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

TIMEOUT_SECONDS = 30.0
TABLES = (
    *("connect_links", "tenant_pages"),
    *("webhook_deliveries", "webhook_secrets", "webhooks"),
    *("events", "event_marks", "audit", "login_debits", "login_pauses", "idempotency_records"),
    *("sessions", "credentials", "connections", "profiles", "api_keys", "tenants"),
)
"""The tables that tests write to, in the order in which they can be emptied."""


@dataclass
class Shared:
    """The sandbox and the service, in an event loop in its own thread."""

    sandbox: SandboxBluesky
    service: Running
    loop: asyncio.AbstractEventLoop
    end: asyncio.Event = field(default_factory=asyncio.Event)
    standing: set[asyncio.Task[Any]] = field(default_factory=set)

    @asynccontextmanager
    async def tenant(self) -> AsyncIterator[Running]:
        """Yield the service as a temporary tenant."""
        address = self.service.address
        async with grpc.aio.insecure_channel(address) as channel:
            service = self.service
            tenant = Running(
                service.settings, address, channel, http=service.http, admin=service.admin
            )
            await tenant.become_a_tenant()
            yield tenant
        # isolate the next test: wait for all tasks of this one, then empty the tables
        self.sandbox.server.breakages.clear()
        over = asyncio.run_coroutine_threadsafe(self._over(), self.loop)
        await asyncio.wrap_future(over)
        self._empty()

    async def _over(self) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while asyncio.all_tasks() - self.standing - {asyncio.current_task()}:
                await asyncio.sleep(0.001)

    def _empty(self) -> None:
        file = self.service.database
        with closing(sqlite3.connect(file, timeout=TIMEOUT_SECONDS)) as database, database:
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
    shared = started.result(TIMEOUT_SECONDS)
    yield shared
    shared.loop.call_soon_threadsafe(shared.end.set)
    thread.join()


@pytest.fixture
def sandbox(shared: Shared) -> SandboxBluesky:
    """The sandbox, without breakages, and with call counts at zero."""
    shared.sandbox.server.breakages.clear()
    shared.sandbox.server.counts.clear()
    return shared.sandbox


@pytest.fixture
async def sandboxed(shared: Shared) -> AsyncIterator[Running]:
    """The whole service, as the test's own tenant."""
    async with shared.tenant() as tenant:
        yield tenant
