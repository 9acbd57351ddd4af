"""Outages: many of every kind, each met by its own check, and the flags that they raised."""

import asyncio
import logging
import tempfile
from collections import Counter
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
from tests.support.running import PATIENT, MovedClock, Running, running

from .bluesky_storm import Storm as BlueskyStorm
from .connecting import connect
from .kinds import Kind
from .site_storm import GhostStorm, MastodonStorm, WordPressStorm
from .storm import Account, Storm

ACCOUNTS = 25
AT_ONCE = 5
"""Of outages that a check need not wait for: each has little time to connect."""
LATE_SECONDS = 4.0
"""Of a check that only its time limit ends: enough to reach the outage on a busy machine."""
STORMS: dict[str, type[Storm[Any, Any]]] = {
    storm.platform: storm for storm in (BlueskyStorm, WordPressStorm, MastodonStorm, GhostStorm)
}
NEXT_DAY: Micros = 26 * 3600 * SECOND
"""Between two checks of a connection: longer than every login wait and every document's
lifetime."""


@dataclass
class Figures:
    """The figures of one kind. *met*: checks that ran into it. *flags*: those that raised one.

    *recovered*: of the *mended* connections, those that the next check found healthy. *logins*:
    spent at the servers, and *max_logins* that may be.
    """

    kind: Kind
    outages: int = 0
    met: int = 0
    unverified: int = 0
    flags: int = 0
    mended: int = 0
    recovered: int = 0
    logins: int = 0
    max_logins: int = 0
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
        storm: Storm[Any, Any],
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
        cls, platform: str, database: Path, authority: Authority, patch: pytest.MonkeyPatch
    ) -> AsyncIterator["Trial"]:
        clock = MovedClock()
        with listening() as sink:
            async with STORMS[platform].started(authority, ACCOUNTS) as storm:
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
                async with running(database, {"CHECK_HOURS": "24"}, clock, PATIENT) as service:
                    trial = cls(storm, service, clock, sink, built)
                    for site in storm.sites.values():
                        reply = await connect(service, platform, site.credentials)
                        trial._keys[site.host] = reply.profile_key
                        site.logins = 0
                    yield trial
                await storm.all_hung_up()

    async def run(self, kind: Kind, count: int, patch: pytest.MonkeyPatch) -> Figures:
        """Run *count* outages of that kind, a few at a time."""
        figures, storm = Figures(kind), self._storm
        # few outages of each kind still begin at every place
        first = count * list(storm.kinds).index(kind)
        plights = islice(cycle(product(kind.answers, storm.places(kind))), first, first + count)
        await storm.begin(kind)
        accounts = cycle(storm.sites.values())
        while some := list(islice(plights, ACCOUNTS if kind.late else AT_ONCE)):
            self._clock.ahead += NEXT_DAY
            sites = list(islice(accounts, len(some)))
            for site, (answer, place) in zip(sites, some, strict=True):
                storm.set(site, place, answer)
                figures.max_logins += storm.max_logins(kind, place)
            with patch.context() as patched:
                if kind.late:
                    hurried = replace(TIMEOUTS, check=LATE_SECONDS)
                    patched.setattr(self._health[0], "timeouts", hurried)
                await asyncio.gather(*(self._meet(site, figures) for site in sites))
            if kind.harmless:
                # without a check between them, outages in a row look like one
                await self._recover(sites, figures)
        if not kind.harmless and not kind.lasting:
            await self._recover(list(storm.sites.values())[:count], figures)
        figures.leaks += self._sink.leaks(
            [secret for site in storm.sites.values() for secret in site.secrets]
        )
        return figures

    async def _meet(self, site: Account, figures: Figures) -> None:
        before = site.logins
        connection = await self._verify(site)
        figures.outages += 1
        figures.met += site.met
        figures.unverified += connection.state == profile_pb2.CONNECTION_STATE_UNVERIFIED
        figures.flags += connection.needs_reconnect
        figures.logins += site.logins - before

    async def _recover(self, sites: Sequence[Account], figures: Figures) -> None:
        self._clock.ahead += NEXT_DAY
        for site in sites:
            self._storm.mend(site)
            connection = await self._verify(site)
            figures.mended += 1
            figures.recovered += connection.state == profile_pb2.CONNECTION_STATE_HEALTHY

    async def _verify(self, site: Account) -> profile_pb2.Connection:
        try:
            connection = await self._service.verify(
                self._keys[site.host], platform=self._storm.platform, timeout=PATIENT.call
            )
        except grpc.aio.AioRpcError as error:
            self._sink.lines.append(repr(error) + repr(error.trailing_metadata()))
            raise
        self._sink.lines.append(str(connection))
        return connection


async def run_each(
    platform: str, database: Path, authority: Authority, count: int, patch: pytest.MonkeyPatch
) -> AsyncIterator[Figures]:
    """Run *count* outages of each kind, and yield its figures."""
    async with Trial.open(platform, database, authority, patch) as trial:
        for kind in STORMS[platform].kinds:
            yield await trial.run(kind, count, patch)


async def table(platform: str = "bluesky", count: int = 500) -> bool:
    """Print a table of *count* outages per kind; return whether none raised a flag or leaked."""
    names = ("outages", "met", "flags", "recovered", "logins", "leaks")
    click.echo(f"{'kind':<26}" + "".join(f"{name:>10}" for name in names))
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        database = Path(folder) / "postcore.db"
        assert migrate_apart(f"sqlite:///{database}")
        async for row in run_each(platform, database, Authority(Path(folder)), count, patch):
            total += Counter({name: getattr(row, name) for name in names})
            cells = "".join(f"{getattr(row, name):>10}" for name in names)
            click.echo(f"{row.kind.name:<26}{cells}")
    click.echo(f"{platform}: {total['outages']} outages, {total['flags']} flags raised")
    return not (total["flags"] or total["leaks"])
