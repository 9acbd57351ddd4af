"""Breaks: every way in which a connection breaks, and the time to detect it.

No caller asks: only the monitor runs, on a clock that advances in steps of half an hour. Detection
times are of that clock; calls and logins are counted at the server. Bluesky's is a real one, the
others are the sandbox's stand-ins.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
import pytest

from service.connections import monitor
from service.domain.model import SECOND
from service.storage.migrations import migrate_apart
from tests.conformance.real import Real
from tests.conftest import tool
from tests.pds.server import RealServer
from tests.support.bluesky import Person
from tests.support.running import MovedClock, Running, running

from .connecting import USES, connect
from .site_breaks import BREAKS as SITE_BREAKS
from .site_breaks import Broken

STEP = 1800 * SECOND
MAX_HOURS = 48.0


class Subject(Protocol):
    """An account at its server, and one way to break it."""

    def settings(self) -> Mapping[str, str]:
        """The settings that lead the service to the server."""

    async def credentials(self) -> Mapping[str, str]:
        """Return the owner's credentials, by the fields' JSON names."""

    async def break_(self) -> None: ...

    async def counts(self) -> Mapping[str, int]:
        """Return how often each path was called."""


BlueskyBreak = Callable[[Real, Person], Awaitable[object]]


async def _change_main_password(bluesky: Real, person: Person) -> None:
    await bluesky.change_password(person, "another main password")


async def _rename(bluesky: Real, person: Person) -> None:
    await bluesky.rename(person, f"new-{person.handle}")


BLUESKY_BREAKS: dict[str, tuple[BlueskyBreak, str]] = {
    "app password revoked": (Real.revoke, "APP_PASSWORD_REVOKED"),
    "taken down": (Real.take_down, "ACCOUNT_TAKEN_DOWN"),
    "deactivated": (Real.deactivate, "ACCOUNT_DEACTIVATED"),
    "deleted": (Real.delete, "ACCOUNT_DELETED"),
    "DID ended (tombstone)": (Real.tombstone, "ACCOUNT_DELETED"),
    "migrated": (Real.migrate, "SERVER_MOVED"),
    "main password changed": (_change_main_password, "healthy"),
    "handle changed": (_rename, "healthy"),
    "nothing": (lambda *_: asyncio.sleep(0), "healthy"),
}


class AtBluesky:
    """An account at a real Bluesky server."""

    def __init__(self, bluesky: Real, break_: BlueskyBreak) -> None:
        self._bluesky = bluesky
        self._break = break_
        self._person: Person

    def settings(self) -> Mapping[str, str]:
        return self._bluesky.settings()

    async def credentials(self) -> Mapping[str, str]:
        person = self._person = await self._bluesky.person()
        return {"handle": person.handle, "appPassword": person.app_password}

    async def break_(self) -> None:
        await self._break(self._bluesky, self._person)

    async def counts(self) -> Mapping[str, int]:
        return await self._bluesky.counts()


@dataclass(frozen=True)
class Found:
    """What the monitor has found.

    *verdict*: the reason to reconnect; without one, the state, in lower case. *hours*: the time of
    the detection. *calls*: to the account's server, and *logins* among them: uses of the owner's
    credential.
    """

    verdict: str
    hours: float | None
    calls: int
    logins: int
    events: tuple[str, ...]


async def table(platform: str = "bluesky") -> bool:
    """Print the table; return whether every verdict is right."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        if platform == "bluesky":
            folder = tool("tests/pds/install")
            async with await RealServer.start(folder, login_floor=False) as server:
                rows = {
                    name: (await find(platform, AtBluesky(Real(server), break_)), expected)
                    for name, (break_, expected) in BLUESKY_BREAKS.items()
                }
        else:
            rows = {
                name: (await find_at_site(platform, name), expected)
                for name, (_, expected) in SITE_BREAKS[platform].items()
            }
    click.echo(f"{'break':34} {'verdict':24} {'after':>7}  calls  logins  events")
    for name, (found, expected) in rows.items():
        after = "–" if found.hours is None else f"{found.hours:.1f} h"
        missed = "" if found.verdict == expected else f"  MISSED: {expected}"
        click.echo(
            f"{name:34} {found.verdict:24} {after:>7}  {found.calls:5}  {found.logins:6}  "
            f"{', '.join(found.events) or '–'}{missed}"
        )
    return all(found.verdict == expected for found, expected in rows.values())


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Let the monitor follow the moved clock: it rests and pauses by the machine's."""
    patch.setattr(monitor, "MAX_REST_SECONDS", 0.05)
    patch.setattr(monitor, "MIN_PAUSE_SECONDS", 0.0)


async def find_at_site(platform: str, name: str, max_hours: float = MAX_HOURS) -> Found:
    """Make the break *name* at a stand-in, and return what the monitor finds."""
    async with Broken.started(platform, name) as subject:
        return await find(platform, subject, max_hours)


async def find(platform: str, subject: Subject, max_hours: float = MAX_HOURS) -> Found:
    """Break the account of a new connection and return what the monitor finds."""
    clock = MovedClock()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "postcore.db"
        assert migrate_apart(f"sqlite:///{database}")
        async with running(database, subject.settings(), clock) as service:
            await connect(service, platform, await subject.credentials())
            before = await subject.counts()
            await subject.break_()
            hours = await _until_flagged(service, clock, max_hours)
        # with the calls that were left to the end
        after = await subject.counts()
        [row] = service.rows("SELECT * FROM connections")
        events = service.rows("SELECT kind FROM events ORDER BY number")
    spent = {path: count - before.get(path, 0) for path, count in after.items()}
    return Found(
        row["reconnect_reason"] or row["state"].lower(),
        hours,
        sum(spent.values()),
        sum(count for path, count in spent.items() if path.endswith(USES[platform])),
        tuple(event["kind"] for event in events[1:]),
    )


async def _until_flagged(service: Running, clock: MovedClock, max_hours: float) -> float | None:
    """Return the hours of the moved clock until a flag is set; None if it is not."""
    while clock.ahead < max_hours * 3600 * SECOND:
        clock.ahead += STEP
        while service.rows("SELECT 1 FROM connections WHERE next_check_at <= ?", clock.now()):
            await asyncio.sleep(0.02)
        # a picked connection is claimed a little later, until its check has ended
        await asyncio.sleep(0.02)
        while service.rows("SELECT 1 FROM sessions WHERE claimed_until > ?", clock.now()):
            await asyncio.sleep(0.02)
        if service.rows("SELECT 1 FROM connections WHERE reconnect_reason IS NOT NULL"):
            return clock.ahead / SECOND / 3600
    return None
