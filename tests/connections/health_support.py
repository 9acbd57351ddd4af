"""Fixtures of the health tests: a connected account at the sandbox or the real server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from postcore.profiles.v1 import profile_pb2
from service.connections import monitor
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.domain.model import SECOND
from service.sandbox.breakages import Breakages
from tests.conformance.real import Real
from tests.conformance.sandbox import Sandbox
from tests.support.bluesky import CREATE, SESSION, Person
from tests.support.engines import on_each
from tests.support.running import MovedClock, Running, running

REFRESH = f"{SESSION}refreshSession"
HOUR = 3600 * SECOND
State = profile_pb2.ConnectionState
Reason = profile_pb2.ReconnectReason


where = on_each


@pytest.fixture
def engine(where: tuple[str, str]) -> str:
    return where[1]


@pytest.fixture
async def bluesky(
    where: tuple[str, str], request: pytest.FixtureRequest
) -> AsyncIterator[Sandbox | Real]:
    """A Bluesky server whose accounts can be changed in any way."""
    if where[0] == "real":
        yield Real(request.getfixturevalue("pds"))
        return
    async with Sandbox.open() as sandbox:
        yield sandbox


@pytest.fixture
def timeouts() -> Timeouts:
    """The timeouts of `sandboxed`; a module may override them."""
    return TIMEOUTS


@pytest.fixture
async def service(
    bluesky: Sandbox | Real, database: Path, database_url: str, clock: MovedClock
) -> AsyncIterator[Running]:
    # the tests request the checks
    settings = {**bluesky.settings(), "DATABASE_URL": database_url, "CHECK_HOURS": "24"}
    async with running(database, settings, clock) as started:
        yield started


async def logins(bluesky: Sandbox | Real) -> int:
    return (await bluesky.counts()).get(CREATE, 0)


def status_of(connection: profile_pb2.Connection) -> tuple[str, bool, str]:
    """Return state, flag and reason, without their prefixes."""
    return (
        State.Name(connection.state).removeprefix("CONNECTION_STATE_"),
        connection.needs_reconnect,
        Reason.Name(connection.reconnect_reason).removeprefix("RECONNECT_REASON_")
        if connection.HasField("reconnect_reason")
        else "",
    )


HEALTHY = ("HEALTHY", False, "")


def broken(reason: str) -> tuple[str, bool, str]:
    return ("BROKEN", True, reason)


UNVERIFIED = ("UNVERIFIED", False, "")


class Watched:
    """A connected account, its service and its server."""

    def __init__(self, service: Running, bluesky: Sandbox | Real, clock: MovedClock) -> None:
        self.service, self.bluesky, self.clock = service, bluesky, clock
        self.person: Person
        self.key = ""
        self._logins = 0

    async def connect(self) -> None:
        self.person = await self.bluesky.person()
        self.key = (
            await self.service.connect(self.person.handle, self.person.app_password)
        ).profile_key
        self._logins = await logins(self.bluesky)

    async def verdict(self, after: int = HOUR) -> tuple[str, bool, str]:
        """Return the verdict of a check that is made *after* microseconds later."""
        self.clock.ahead += after
        return status_of(await self.service.verify(self.key))

    async def spent(self) -> int:
        """Return the number of logins at the server since the account was connected."""
        return await logins(self.bluesky) - self._logins

    def events(self) -> list[str]:
        rows = self.service.rows(
            "SELECT kind, connection FROM events WHERE profile_key = ? ORDER BY number", self.key
        )
        assert rows.pop(0)["kind"] == "CONNECTED"
        return [row["kind"] for row in rows]

    @property
    def row(self) -> dict[str, Any]:
        [row] = self.service.rows("SELECT * FROM connections WHERE profile_key = ?", self.key)
        return row


@pytest.fixture
async def watched(service: Running, bluesky: Sandbox | Real, clock: MovedClock) -> Watched:
    watched = Watched(service, bluesky, clock)
    await watched.connect()
    return watched


@pytest.fixture
async def sandboxed(
    database: Path, clock: MovedClock, timeouts: Timeouts, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    """A connected account at a sandbox that can give faulty answers; the monitor's pauses are
    short."""
    monkeypatch.setattr(monitor, "MAX_REST_SECONDS", 0.02)
    async with Sandbox.open() as sandbox:
        settings = {**sandbox.settings(), "CHECK_HOURS": "24"}
        async with running(database, settings, clock, timeouts) as started:
            watched = Watched(started, sandbox, clock)
            await watched.connect()
            yield watched


def breakages(watched: Watched) -> Breakages:
    assert isinstance(watched.bluesky, Sandbox)
    return watched.bluesky.server.breakages
