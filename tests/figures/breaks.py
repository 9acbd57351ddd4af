"""Breaks: every way in which a connection breaks at the real server, and the time to detect it.

No caller asks: only the monitor runs, on a clock that advances in steps of half an hour. Detection
times are of that clock; logins are counted at the server.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from service.connections import monitor
from service.connections.timeouts import TIMEOUTS
from service.domain.model import SECOND
from service.storage.migrations import migrate_apart
from tests.conformance.real import Real
from tests.conftest import tool
from tests.pds.server import RealServer
from tests.support.bluesky import CREATE, Person
from tests.support.running import MovedClock, Running, running

STEP = 1800 * SECOND
MAX_WAIT = 48 * 3600 * SECOND
AGAIN_AFTER = int(TIMEOUTS.picked * SECOND)
Break = Callable[[Real, Person], Awaitable[object]]


async def _change_main_password(bluesky: Real, person: Person) -> None:
    await bluesky.change_password(person, "another main password")


async def _rename(bluesky: Real, person: Person) -> None:
    await bluesky.rename(person, f"new-{person.handle}")


BREAKS: dict[str, tuple[Break, str]] = {
    "app password revoked": (Real.revoke, "APP_PASSWORD_REVOKED"),
    "taken down": (Real.take_down, "ACCOUNT_TAKEN_DOWN"),
    "deactivated": (Real.deactivate, "ACCOUNT_DEACTIVATED"),
    "deleted": (Real.delete, "ACCOUNT_DELETED"),
    "DID ended (tombstone)": (Real.tombstone, "ACCOUNT_DELETED"),
    "migrated": (Real.migrate, "SERVER_MOVED"),
    "main password changed": (_change_main_password, ""),
    "handle changed": (_rename, ""),
    "nothing": (lambda *_: asyncio.sleep(0), ""),
}


@dataclass(frozen=True)
class Found:
    """The final state of a connection, the time of its detection, and the logins it cost."""

    reason: str
    hours: float | None
    logins: int
    events: tuple[str, ...]


async def table() -> bool:
    """Print the table; return whether every verdict is right."""
    right = True
    click.echo(f"{'break':24} {'verdict':22} {'after':>7}  logins  events")
    folder = tool("tests/pds/install")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "MAX_REST_SECONDS", 0.05)
        async with await RealServer.start(folder, login_floor=False) as server:
            for name, (break_, expected) in BREAKS.items():
                found = await find(Real(server), break_)
                right &= found.reason == expected
                after = "–" if found.hours is None else f"{found.hours:.1f} h"
                seen = ", ".join(found.events) or "–"
                click.echo(
                    f"{name:24} {found.reason or 'healthy':22} {after:>7}  {found.logins:6}  {seen}"
                )
    return right


async def find(bluesky: Real, break_: Break) -> Found:
    """Break the account of a new connection and return what the monitor finds."""
    clock = MovedClock()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "postcore.db"
        assert migrate_apart(f"sqlite:///{database}")
        async with running(database, bluesky.settings(), clock) as service:
            person = await bluesky.person()
            await service.connect(person.handle, person.app_password)
            before = (await bluesky.counts())[CREATE]
            await break_(bluesky, person)
            hours = await _until_flagged(service, clock)
            [row] = service.rows("SELECT * FROM connections")
            events = service.rows("SELECT kind FROM events ORDER BY number")
            return Found(
                row["reconnect_reason"] or "",
                hours,
                (await bluesky.counts())[CREATE] - before,
                tuple(event["kind"] for event in events[1:]),
            )


async def _until_flagged(service: Running, clock: MovedClock) -> float | None:
    """Return the hours of the moved clock until a flag is set; None if two days pass."""
    while clock.ahead < MAX_WAIT:
        clock.ahead += STEP
        while service.rows("SELECT 1 FROM connections WHERE next_check_at <= ?", clock.now()):
            await asyncio.sleep(0.02)
        # a picked connection is due again a little later, until its check has ended
        while service.rows(
            "SELECT 1 FROM connections WHERE next_check_at <= ? AND doubts = 0 AND "
            "COALESCE(checked_at, 0) < ?",
            clock.now() + AGAIN_AFTER,
            clock.now() - AGAIN_AFTER,
        ):
            await asyncio.sleep(0.02)
        if service.rows("SELECT 1 FROM connections WHERE reconnect_reason IS NOT NULL"):
            return clock.ahead / SECOND / 3600
    return None
