"""Outages: many of every kind, each met by its own check, and the flags that they raised."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import click
import grpc.aio
import pytest
from structlog.testing import capture_logs

from postcore.profiles.v1 import profile_pb2
from service.app import build as app
from service.connections import backoff as failures
from service.connections.health import Health
from service.connections.monitor import Monitor
from service.connections.timeouts import TIMEOUTS
from service.domain.model import SECOND, Micros
from service.storage.migrations import migrate_apart
from tests.platforms.web import Authority
from tests.support.running import MovedClock, Running, running

from .kinds import KINDS, Kind
from .storm import DIRECTORY, LOGIN, STANDING, STANDING_AGAIN, Site, Storm

AT_ONCE = 25
LATE_SECONDS = 4.0
"""Instead of a check's nine: enough to reach the outage on a busy machine."""
NEXT_DAY: Micros = 26 * 3600 * SECOND
"""Between two checks of a connection: longer than every login wait and every document's
lifetime."""


@dataclass
class Figures:
    """The figures of one kind. *met*: checks that ran into it. *flags*: those that raised one.

    *logins*: spent at the servers, and *most_logins*, if each outage costs at most one.
    """

    kind: str
    late: bool = False
    outages: int = 0
    met: int = 0
    unverified: int = 0
    flags: int = 0
    logins: int = 0
    most_logins: int = 0
    leaks: int = 0


class Sink:
    """Records every log line of any logger, and every error sent to callers."""

    def __init__(self, events: Sequence[Any]) -> None:
        self.events = events
        self.lines: list[str] = []
        self._read = 0

    def leaks(self, secrets: Sequence[str]) -> int:
        """Count the lines since the last call that hold one of *secrets*."""
        new = [*self.lines, *map(repr, self.events[self._read :])]
        self._read, self.lines = len(self.events), []
        return sum(any(secret in line for secret in secrets) for line in new)


class _Handler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__(logging.DEBUG)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self._sink.lines.append(f"{record.getMessage()} {record.exc_info}")


@contextmanager
def listening() -> Iterator[Sink]:
    root = logging.getLogger()
    level = root.level
    with capture_logs() as events:
        sink = Sink(events)
        handler = _Handler(sink)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield sink
        finally:
            root.removeHandler(handler)
            root.setLevel(level)


async def _rest(_: Monitor) -> None:
    await asyncio.Event().wait()


class Trial:
    """A service with a connection to each site of *storm*."""

    def __init__(
        self,
        storm: Storm,
        service: Running,
        clock: MovedClock,
        sink: Sink,
        health: list[Health],
    ) -> None:
        self._storm = storm
        self._health = health
        self._service = service
        self._clock = clock
        self._sink = sink
        self._keys: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database: Path, authority: Authority, patch: pytest.MonkeyPatch
    ) -> AsyncIterator["Trial"]:
        clock = MovedClock()
        with listening() as sink:
            async with Storm.started(authority, AT_ONCE) as storm:
                patch.setattr(
                    app, "egress_context", lambda _, clock, leave, **__: storm.outside(clock, leave)
                )
                # a pause that the platform requested ends by the moved clock
                patch.setattr(failures, "monotonic", lambda: clock.now() / SECOND)
                built: list[Health] = []

                def health(*parts: Any) -> Health:
                    built.append(Health(*parts))
                    return built[0]

                patch.setattr(app, "Health", health)
                # no checks except the counted ones
                patch.setattr(Monitor, "run", _rest)
                async with running(database, {"CHECK_HOURS": "24"}, clock) as service:
                    trial = cls(storm, service, clock, sink, built)
                    for site in storm.sites.values():
                        reply = await service.connect(site.handle, site.password)
                        trial._keys[site.host] = reply.profile_key
                        site.logins = 0
                    yield trial
                await storm.all_hung_up()

    async def run(self, kind: Kind, count: int, patch: pytest.MonkeyPatch) -> Figures:
        """Run *count* outages of that kind, AT_ONCE at a time."""
        figures = Figures(kind.name, kind.late)
        plights = islice(cycle(product(kind.answers, kind.places)), count)
        with patch.context() as patched:
            if kind.late:
                hurried = replace(TIMEOUTS, check=LATE_SECONDS)
                patched.setattr(self._health[0], "timeouts", hurried)
            while some := list(islice(plights, AT_ONCE)):
                self._clock.ahead += NEXT_DAY
                sites = list(islice(self._storm.sites.values(), len(some)))
                for site, (answer, place) in zip(sites, some, strict=True):
                    self._storm.set(site, place, answer)
                costly = (LOGIN, STANDING_AGAIN, *([STANDING] if kind.answered else []))
                await asyncio.gather(*(self._meet(site, figures, costly) for site in sites))
        figures.leaks += self._sink.leaks(
            [secret for site in self._storm.sites.values() for secret in site.secrets]
        )
        return figures

    async def directory_down(self, count: int, patch: pytest.MonkeyPatch) -> Figures:
        """Run the last kind: the directory stays down."""
        await self._storm.close_directory()
        down = Kind("PLC down", ["closed"], (DIRECTORY,))
        figures = await self.run(down, count, patch)
        # the closed port cannot count them
        figures.met = figures.unverified
        return figures

    async def _meet(self, site: Site, figures: Figures, costly: Sequence[int]) -> None:
        """*costly*: the requests at which an outage costs a login."""
        before = site.logins
        try:
            connection = await self._service.verify(self._keys[site.host])
        except grpc.aio.AioRpcError as error:
            self._sink.lines.append(repr(error) + repr(error.trailing_metadata()))
            raise
        self._sink.lines.append(str(connection))
        figures.outages += 1
        figures.met += site.met
        figures.unverified += connection.state == profile_pb2.CONNECTION_STATE_UNVERIFIED
        figures.flags += connection.needs_reconnect
        figures.logins += site.logins - before
        figures.most_logins += site.begins_at in costly


async def run_all(
    database: Path, authority: Authority, count: int, patch: pytest.MonkeyPatch
) -> list[Figures]:
    """Run *count* outages of each kind."""
    async with Trial.open(database, authority, patch) as trial:
        figures = [await trial.run(kind, count, patch) for kind in KINDS]
        return [*figures, await trial.directory_down(count, patch)]


async def table(count: int = 500) -> bool:
    """Print a table of *count* outages per kind; return whether none raised a flag or leaked."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        database = Path(folder) / "postcore.db"
        assert migrate_apart(f"sqlite:///{database}")
        rows = await run_all(database, Authority(Path(folder)), count, patch)
    lines = [f"{'kind':<20}{'outages':>8}{'met':>7}{'flags':>7}{'logins':>8}{'leaks':>7}"]
    lines += [
        f"{row.kind:<20}{row.outages:>8}{row.met:>7}{row.flags:>7}{row.logins:>8}{row.leaks:>7}"
        for row in rows
    ]
    total = sum(row.outages for row in rows), sum(row.flags for row in rows)
    lines.append(f"{total[0]} outages, {total[1]} flags raised")
    click.echo("\n".join(lines))
    return not any(row.flags or row.leaks for row in rows)
