"""Nodes: three on one PostgreSQL, of which one is killed under load.

The kill comes at the worst moment: Bluesky hangs, so that connects and checks are in progress on
every node; then the node freezes, so that every caller has a call in progress with it. A call still
in progress after that has met the node and counts as retried: by the channel or, for a connect, by
the caller with the idempotency key.
"""

import asyncio
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from service.connections.timeouts import TIMEOUTS
from service.domain.clock import SystemClock
from service.domain.model import DAY, SECOND, Micros, Scope
from tests.bench.seed import settings
from tests.conftest import tool
from tests.pds.server import RealServer
from tests.support.bluesky import CREATE, RealBluesky
from tests.support.crowd import Crowd, Tally
from tests.support.engines import rows
from tests.support.fleet import Node, channel_to, fleet
from tests.support.leasing import REFRESH
from tests.support.postgres import Cluster, binaries
from tests.support.running import Running

NODES = 3
CLAIM = int(TIMEOUTS.claim * SECOND)
AGAIN_AFTER = int(TIMEOUTS.picked * SECOND)
PEOPLE = 6
CONNECTIONS = 24
"""As many as the monitors of three nodes check at once."""
DUE_IN = 6
"""Seconds; longer than a monitor's rest, so that all monitors are awake when checks become due."""
HANGING = 1.5
"""Seconds in which connects and checks come to a stop, and no deadline ends them."""
FROZEN = 0.4
GRACE_SECONDS = 60.0
TURNS = 9
BUDGETS = ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET")


@dataclass
class Stage:
    """The nodes, the crowd that calls them, their database and the Bluesky server."""

    database_url: str
    bluesky: RealBluesky
    nodes: list[Node]
    crowd: Crowd

    async def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        return await asyncio.to_thread(rows, self.database_url, statement, *parameters)

    async def missing(self) -> int:
        """Count the acknowledged connects whose rows are incomplete."""
        kept = await self.rows(
            "SELECT i.idempotency_key, c.profile_key FROM idempotency_records i"
            " JOIN connections c USING (tenant_id, profile_key)"
            " JOIN credentials USING (tenant_id, profile_key, platform)"
            " JOIN sessions USING (tenant_id, profile_key, platform)"
        )
        there = {(row["idempotency_key"], row["profile_key"]) for row in kept}
        return len(set(self.crowd.acknowledged) - there)

    async def make_due(self, ahead: Micros) -> None:
        """Make all checks of the near future due in *ahead* microseconds."""
        now = SystemClock().now()
        far = now + (2 * AGAIN_AFTER if self.verdicts() else 2 * DAY)
        await self.rows(
            "UPDATE connections SET next_check_at = ? WHERE next_check_at < ?", now + ahead, far
        )

    async def claims(self, until: Micros) -> int:
        """Count the connections with a claim that expires by *until*."""
        [row] = await self.rows(
            "SELECT COUNT(*) AS held FROM sessions WHERE claimed_until > ? AND claimed_until <= ?",
            SystemClock().now(),
            until,
        )
        return int(row["held"])

    def verdicts(self) -> Counter[str]:
        """Count the verdicts of each due connection, by all nodes."""
        lines = [line for node in self.nodes for line in node.logged("verdict")]
        return Counter(line["profile"] for line in lines if line["profile"] in self.crowd.first)


@asynccontextmanager
async def stage(folder: Path, bluesky: RealBluesky, database_url: str) -> AsyncIterator[Stage]:
    """Start three nodes, with connections of which none is due for a day."""
    read = settings(
        folder,
        database_url,
        {
            **bluesky.settings(),
            **dict.fromkeys(BUDGETS, "100000,100000"),
            "CHECK_HOURS": "24",
            "DRAIN_PAUSE_SECONDS": "0.3",  # the default
        },
    )
    people = [await bluesky.person() for _ in range(PEOPLE)]
    async with fleet(read, folder, NODES) as nodes, channel_to(nodes) as channel:
        client = Running(read, "", channel)
        client.tenant_id = await client.new_tenant()
        client.api_key, _ = await client.new_key(*Scope)
        crowd = Crowd(client, people)
        await crowd.settle(CONNECTIONS)
        yield Stage(database_url, bluesky, nodes, crowd)


@dataclass
class Killed:
    """The effects of a kill on callers and on the server.

    *under_way*: calls in progress with the node when it died; *held*: connections that it had
    claimed.
    """

    tallies: list[Tally]
    under_way: Counter[str]
    held: int
    missing: int
    connects: int
    logins: int
    verdicts: Counter[str]
    refreshes: int

    @property
    def most_logins(self) -> int:
        """One for each connect, and those that the dead node had made and could not store."""
        return self.connects + self.under_way["ConnectProfile"]

    @property
    def most_refreshes(self) -> int:
        return CONNECTIONS + self.held

    @property
    def met(self) -> bool:
        """Return whether it was the worst moment; otherwise *right* proves little."""
        return self.held > 0 and all(self.under_way[tally.method] for tally in self.tallies)

    @property
    def right(self) -> bool:
        return (
            not any(tally.failed or tally.lost for tally in self.tallies)
            and not self.missing
            and self.connects <= self.logins <= self.most_logins
            and len(self.verdicts) == self.verdicts.total() == CONNECTIONS
            and CONNECTIONS <= self.refreshes <= self.most_refreshes
        )

    def retried(self, tally: Tally) -> int:
        by_caller = tally.method == "ConnectProfile"
        return tally.retried if by_caller else self.under_way[tally.method]


async def killed(on: Stage, seconds: float) -> Killed:
    """Kill one node and restart it, while calls continue for at least *seconds*."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    before = await on.bluesky.counts()
    known = len(on.crowd.acknowledged)
    victim = on.nodes[0]
    async with on.crowd.calling():
        await on.make_due(DUE_IN * SECOND)
        await asyncio.sleep(DUE_IN - 0.5)
        on.bluesky.server.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(HANGING)
            victim.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN)
            under_way = on.crowd.under_way(FROZEN / 2)
            at = SystemClock().now()
            await victim.end(signal.SIGKILL)
        finally:
            on.bluesky.server.signal(signal.SIGCONT)
        await asyncio.sleep(2)  # until the others release their claims
        held = await on.claims(at + CLAIM)
        await victim.start()
        if seconds < AGAIN_AFTER / SECOND:
            # it becomes due again by itself later
            await on.make_due(0)
        while loop.time() < until or len(on.verdicts()) < CONNECTIONS:
            await asyncio.sleep(0.5)
            if loop.time() > until + GRACE_SECONDS:
                break
    after = await on.bluesky.counts()
    logins, refreshes = (after.get(path, 0) - before.get(path, 0) for path in (CREATE, REFRESH))
    return Killed(
        list(on.crowd.tallies.values()),
        under_way,
        held,
        await on.missing(),
        len(on.crowd.acknowledged) - known,
        logins,
        on.verdicts(),
        refreshes,
    )


async def drained(on: Stage, turns: int) -> list[Tally]:
    """Drain nodes one after another by SIGTERM and restart each, *turns* times."""
    async with on.crowd.calling():
        for turn in range(turns):
            node = on.nodes[turn % NODES]
            await asyncio.sleep(1)
            if code := await node.end(signal.SIGTERM):
                raise AssertionError(f"exit code {code}")
            await node.start()
    return list(on.crowd.tallies.values())


async def table(seconds: int = 180) -> bool:
    """Print the outcome of calls during a kill and during drains.

    Return whether nothing was lost, failed or done twice.
    """
    programs = binaries()
    assert programs is not None
    cluster = await asyncio.to_thread(Cluster.started, programs)
    try:
        async with await RealServer.start(tool("tests/pds/install"), login_floor=False) as server:
            bluesky = RealBluesky(server)
            with tempfile.TemporaryDirectory() as folder:
                url = cluster.url(await cluster.new_database())
                async with stage(Path(folder), bluesky, url) as on:
                    of_killing = await killed(on, seconds)
            with tempfile.TemporaryDirectory() as folder:
                url = cluster.url(await cluster.new_database())
                async with stage(Path(folder), bluesky, url) as on:
                    of_draining = await drained(on, TURNS)
                    missing = await on.missing()
    finally:
        await asyncio.to_thread(cluster.remove)
    kept = not missing and not any(
        tally.failed or tally.lost or tally.retried for tally in of_draining
    )
    click.echo(f"one of {NODES} nodes killed and started again")
    print_tallies(of_killing.tallies, of_killing)
    click.echo(f"{of_killing.missing} connects acknowledged and not in the store")
    click.echo(
        f"{of_killing.logins} logins of {of_killing.connects} connects, of which "
        f"{of_killing.under_way['ConnectProfile']} were under way"
    )
    click.echo(
        f"{CONNECTIONS} connections due, of which the node held {of_killing.held}: "
        f"{of_killing.verdicts.total()} verdicts on {len(of_killing.verdicts)}, "
        f"{of_killing.refreshes} refreshes"
    )
    click.echo(f"{'right' if of_killing.right and of_killing.met else 'BROKEN'}\n")
    click.echo(f"{TURNS} drains, one node after the other")
    print_tallies(of_draining)
    click.echo(f"{missing} connects acknowledged and not in the store")
    click.echo("right" if kept else "BROKEN")
    return of_killing.right and of_killing.met and kept


def print_tallies(tallies: list[Tally], of: Killed | None = None) -> None:
    """Print a table of *tallies*."""
    click.echo(f"{'':16}{'sent':>8}{'failed':>8}{'retried':>9}{'lost':>6}{'longest':>11}")
    for tally in tallies:
        retried = of.retried(tally) if of else tally.retried
        click.echo(
            f"{tally.method:16}{tally.sent:>8}{tally.failed:>8}{retried:>9}{tally.lost:>6}"
            f"{tally.longest:>9.2f} s"
        )
        if tally.failures:
            click.echo(f"  {dict(tally.failures)}")
