"""Nodes: three on one PostgreSQL, one of which is killed while callers of all kinds go on.

The killing is done at the worst of moments: Bluesky hangs, so that connects and checks are under
way everywhere; then the node freezes, so that every caller has a call under way with it. What is
still under way after that has met the node, and is counted as retried: by the channel, but for
connects, which the caller repeats with their idempotency key.
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
from tests.support.fleet import Node, fleet, to_all
from tests.support.leasing import REFRESH
from tests.support.postgres import Cluster, binaries
from tests.support.running import Running

NODES = 3
CLAIM = int(TIMEOUTS.claim * SECOND)
AGAIN_AFTER = int(TIMEOUTS.picked * SECOND)
PEOPLE = 6
CONNECTIONS = 24
"""As many as the monitors of three nodes take at once."""
DUE_IN = 6
"""Seconds: longer than a monitor rests, so that all wake when checks are due, and not one of them
first."""
HANGING = 1.5
"""Seconds in which connects and checks come to a stop, and no deadline ends them."""
FROZEN = 0.4
LATEST = 60.0
TURNS = 9
BUDGETS = ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET")


@dataclass
class Stage:
    """Nodes, the crowd that calls them, and what stands behind them."""

    database_url: str
    bluesky: RealBluesky
    nodes: list[Node]
    crowd: Crowd

    async def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        return await asyncio.to_thread(rows, self.database_url, statement, *parameters)

    async def missing(self) -> int:
        """How many connects were acknowledged, and have not left all that belongs to one."""
        kept = await self.rows(
            "SELECT i.idempotency_key, c.profile_key FROM idempotency_records i"
            " JOIN connections c USING (tenant_id, profile_key)"
            " JOIN credentials USING (tenant_id, profile_key, platform)"
            " JOIN sessions USING (tenant_id, profile_key, platform)"
        )
        there = {(row["idempotency_key"], row["profile_key"]) for row in kept}
        return len(set(self.crowd.acknowledged) - there)

    async def make_due(self, ahead: Micros) -> None:
        """Have all checks that are not far off be due in *ahead* microseconds from now."""
        now = SystemClock().now()
        far = now + (2 * AGAIN_AFTER if self.verdicts() else 2 * DAY)
        await self.rows(
            "UPDATE connections SET next_check_at = ? WHERE next_check_at < ?", now + ahead, far
        )

    async def claims(self, until: Micros) -> int:
        """How many connections are claimed, by claims that run out by then."""
        [row] = await self.rows(
            "SELECT COUNT(*) AS held FROM sessions WHERE claimed_until > ? AND claimed_until <= ?",
            SystemClock().now(),
            until,
        )
        return int(row["held"])

    def verdicts(self) -> Counter[str]:
        """How often each of the connections that were due has been judged, by all nodes."""
        lines = [line for node in self.nodes for line in node.told("verdict")]
        return Counter(line["profile"] for line in lines if line["profile"] in self.crowd.first)


@asynccontextmanager
async def stage(folder: Path, bluesky: RealBluesky, database_url: str) -> AsyncIterator[Stage]:
    """Three nodes, with connections that nothing is due of for a day."""
    read = settings(
        folder,
        database_url,
        {
            **bluesky.settings(),
            **dict.fromkeys(BUDGETS, "100000,100000"),
            "CHECK_HOURS": "24",
            "DRAIN_PAUSE_SECONDS": "0.3",  # as it comes
        },
    )
    people = [await bluesky.person() for _ in range(PEOPLE)]
    async with fleet(read, folder, NODES) as nodes, to_all(nodes) as channel:
        client = Running(read, "", channel)
        client.tenant_id = await client.new_tenant()
        client.api_key, _ = await client.new_key(*Scope)
        crowd = Crowd(client, people)
        await crowd.settle(CONNECTIONS)
        yield Stage(database_url, bluesky, nodes, crowd)


@dataclass
class Killed:
    """What a killing came to, for callers and at the server. *under_way*: calls that had met the
    node when it died; *held*: connections that it held a claim on."""

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
        """One a connect, and what the dead node had asked for and could not write down."""
        return self.connects + self.under_way["ConnectProfile"]

    @property
    def most_refreshes(self) -> int:
        return CONNECTIONS + self.held

    @property
    def met(self) -> bool:
        """Whether it was the worst of moments: else all that is right proves little."""
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
    """One node is killed and comes back, while calls go on for so many *seconds* at least."""
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
        await asyncio.sleep(2)  # in which the others give up what they held
        held = await on.claims(at + CLAIM)
        await victim.start()
        if seconds < AGAIN_AFTER / SECOND:
            # in time it is due again by itself
            await on.make_due(0)
        while loop.time() < until or len(on.verdicts()) < CONNECTIONS:
            await asyncio.sleep(0.5)
            if loop.time() > until + LATEST:
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
    """One node after the other ends on SIGTERM and comes back, so often."""
    async with on.crowd.calling():
        for turn in range(turns):
            node = on.nodes[turn % NODES]
            await asyncio.sleep(1)
            if code := await node.end(signal.SIGTERM):
                raise AssertionError(f"exit code {code}")
            await node.start()
    return list(on.crowd.tallies.values())


async def table(seconds: int = 180) -> bool:
    """Print what became of the calls while a node was killed, and while all were drained in turn;
    whether nothing was lost, failed or done twice."""
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
    tell(of_killing.tallies, of_killing)
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
    tell(of_draining)
    click.echo(f"{missing} connects acknowledged and not in the store")
    click.echo("right" if kept else "BROKEN")
    return of_killing.right and of_killing.met and kept


def tell(tallies: list[Tally], of: Killed | None = None) -> None:
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
