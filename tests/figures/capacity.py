"""Capacity: what one process and one PostgreSQL can do, and what more connections would need.

Connects are sealed and saved; checks are the monitor's, whole, at an account server that answers at
once from another process, over HTTP without TLS. This process has one core; PostgreSQL, which
writes to the disk, and that server have the other. CPU time is what a connect or a check costs,
whatever else the machine does meanwhile. Rates depend on that: use an idle machine.
"""

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter

import asyncpg
import click

from service.app.build import build
from service.app.startup import open_vault
from service.connections.monitor import MAX_CHECKS, MAX_CHECKS_AT_HOST
from service.domain.audit import AuditedCall, audited
from service.domain.clock import SystemClock
from service.domain.model import Tenant
from tests.bench.connects import AT_ONCE, LEAST
from tests.bench.load import WrongReplies
from tests.bench.processes import load_on_one_core, on_core
from tests.bench.seed import login, settings
from tests.support.postgres import Cluster, binaries, busy

TENANTS = 50
HOSTS = 16
"""Account servers: the monitor asks each of them a few things at once."""
CHECK_HOURS = 6
DRAIN_SECONDS = 10
CONNECTS, CHECKS = "durable connects of many tenants", "checks of many tenants"
MILLION_CHECKS = 1_000_000 / (CHECK_HOURS * 3600)
"""Checks a second of a million connections."""
CONNECTIONS = (10_000, 100_000, 1_000_000, 10_000_000)
GIB = 2**30
HALF = 0.5
"""Target: of a core, for as many checks."""


@dataclass(frozen=True)
class Cost:
    """What *count* operations took: seconds of time, of this process's and PostgreSQL's CPU;
    commits, and bytes of WAL."""

    count: int
    seconds: float
    own: float
    database: float
    commits: int
    wal: int

    @property
    def rate(self) -> float:
        return self.count / self.seconds


@dataclass(frozen=True)
class State:
    """Counters at one time."""

    at: float
    own: float
    database: float
    commits: int
    wal: int


@dataclass
class Found:
    """Costs by operation; bytes of a stored connection, and of a refresh by direction."""

    costs: dict[str, list[Cost]]
    stored: float = 0
    received: float = 0
    sent: float = 0


async def table(rounds: int = 5, seconds: int = 4) -> bool:
    """Print the figures; return whether they meet their targets."""
    programs = binaries()
    if programs is None:
        sys.exit("PostgreSQL's server is not installed")
    click.echo(f"load average before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        found = await measured(Path(folder), programs, rounds, seconds)
    for name, costs in found.costs.items():
        click.echo(row(name, costs))
    click.echo("\n".join(outlook(found)))
    rate = median(cost.rate for cost in found.costs[CONNECTS])
    click.echo(f"connects a second: {rate:.0f} (target: at least {LEAST})")
    shares = [
        MILLION_CHECKS * each(found.costs[CHECKS], of)
        for of in (lambda cost: cost.own, lambda cost: cost.database)
    ]
    click.echo(
        f"checks of a million: {shares[0]:.2f} of the process's core,"
        f" {shares[1]:.2f} of PostgreSQL's (target: at most {HALF})"
    )
    return rate >= LEAST and max(shares) <= HALF


async def measured(folder: Path, programs: Path, rounds: int, seconds: float) -> Found:
    """Measure connects and checks in turns."""
    with load_on_one_core() as core:
        cluster = await asyncio.to_thread(Cluster.started, programs, durable=True)
        try:
            url = cluster.url(await cluster.new_database())
            found = Found({CONNECTS: [], CHECKS: []})
            async with _instant(found) as origins:
                with on_core(core):
                    await _measured(folder, cluster, url, origins, rounds, seconds, found)
            return found
        finally:
            await asyncio.to_thread(cluster.remove)


async def _measured(
    folder: Path,
    cluster: Cluster,
    url: str,
    origins: list[str],
    rounds: int,
    seconds: float,
    found: Found,
) -> None:
    more = {
        "TRUSTED_ORIGINS": ",".join(origins),
        "CHECKS_PER_SECOND": "1000",
        "CHECK_HOURS": str(CHECK_HOURS),
    }
    read = settings(folder, url, more)
    clock = SystemClock()
    beside = await asyncpg.connect(url)
    try:
        async with build(read) as app:
            vault = await open_vault(app.store, app.keyring)
            tenants = [f"ten_{number}" for number in range(TENANTS)]
            for tenant_id in tenants:
                await app.store.tenants.create(Tenant(tenant_id, "capacity", clock.now()))
            saved = 0

            async def connect(one: int) -> None:
                nonlocal saved
                tenant_id = tenants[one % TENANTS]
                write, _ = login(vault, tenant_id, clock.now(), origins[saved % len(origins)])
                with audited(AuditedCall("ConnectProfile", "capacity", tenant_id=tenant_id)):
                    await app.store.connections.save_login(write)
                saved += 1

            async def connects() -> int:
                before = saved
                until = perf_counter() + seconds

                async def repeat(one: int) -> None:
                    while perf_counter() < until:
                        await connect(one)

                await asyncio.gather(*(repeat(one) for one in range(AT_ONCE)))
                return saved - before

            async def checks() -> int:
                now = clock.now()
                monitor = asyncio.create_task(app.monitor.run())
                await asyncio.sleep(seconds)
                monitor.cancel()
                await asyncio.gather(monitor, return_exceptions=True)
                # checks in progress go to their end
                await app.tasks.drain(DRAIN_SECONDS)
                return int(
                    await beside.fetchval(
                        "SELECT COUNT(*) FROM connections WHERE last_verified_at >= $1", now
                    )
                )

            empty = await _size(beside)
            # the first round loads what only the first call loads
            for number in range(rounds + 1):
                for name, work in ((CONNECTS, connects), (CHECKS, checks)):
                    await beside.execute("UPDATE connections SET next_check_at = 0")
                    await beside.execute("VACUUM connections")
                    cost = await _cost(work, beside, cluster)
                    if number:
                        found.costs[name].append(cost)
                    else:
                        found.stored = (await _size(beside) - empty) / saved
            if await beside.fetchval("SELECT COUNT(*) FROM sessions") != saved:
                raise WrongReplies("connects were acknowledged that are not in the store")
    finally:
        await beside.close()


async def _cost(
    work: Callable[[], Awaitable[int]], beside: "asyncpg.Connection", cluster: Cluster
) -> Cost:
    before = await _state(beside, cluster)
    count = await work()
    if not count:
        raise WrongReplies("nothing was done")
    after = await _state(beside, cluster)
    return Cost(
        count,
        after.at - before.at,
        after.own - before.own,
        after.database - before.database,
        after.commits - before.commits,
        after.wal - before.wal,
    )


async def _state(beside: "asyncpg.Connection", cluster: Cluster) -> State:
    await beside.execute("SELECT pg_stat_force_next_flush()")
    commits, wal = await beside.fetchrow(
        "SELECT xact_commit, (pg_current_wal_lsn() - '0/0')::BIGINT FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    return State(perf_counter(), used.ru_utime + used.ru_stime, busy(cluster.pid), commits, wal)


async def _size(beside: "asyncpg.Connection") -> int:
    return int(await beside.fetchval("SELECT pg_database_size(current_database())"))


@asynccontextmanager
async def _instant(found: Found) -> AsyncIterator[list[str]]:
    """Start the account server; yield its origins. Add its counts to *found* at the end."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.instant", str(HOSTS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        port = int(await server.stdout.readline())
        yield [f"http://127.0.0.{host}:{port}" for host in range(1, HOSTS + 1)]
        refreshes, *sizes = map(int, (await server.communicate(b""))[0].split())
        found.received, found.sent = (size / refreshes for size in sizes)
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


def each(costs: list[Cost], of: Callable[[Cost], float]) -> float:
    """Return the median of *of* for one operation."""
    return median(of(cost) / cost.count for cost in costs)


def row(name: str, costs: list[Cost]) -> str:
    """Return the medians as text."""
    return (
        f"{name:34} {median(cost.rate for cost in costs):7.1f} /s"
        f"  process {each(costs, lambda cost: cost.own) * 1e3:5.2f} ms"
        f"  PostgreSQL {each(costs, lambda cost: cost.database) * 1e3:5.2f} ms"
        f"  {each(costs, lambda cost: cost.commits):5.2f} transactions"
        f"  {each(costs, lambda cost: cost.wal) / 1024:5.1f} KiB WAL"
    )


def outlook(found: Found) -> list[str]:
    """Return the table of what more connections need, from the medians."""
    checks = found.costs[CHECKS]
    own = each(checks, lambda cost: cost.own)
    database = each(checks, lambda cost: cost.database)
    commits, wal = each(checks, lambda cost: cost.commits), each(checks, lambda cost: cost.wal)
    rows = [
        "connections  checks/s  processes  PostgreSQL's core  transactions/s  WAL a day"
        "  data      out       in"
    ]
    for connections in CONNECTIONS:
        rate = connections / (CHECK_HOURS * 3600)
        rows.append(
            f"{connections:11,}  {rate:8.1f}  {ceil(rate * own / HALF):9}"
            f"  {rate * database:17.3f}  {rate * commits:14.1f}"
            f"  {rate * wal * 86400 / GIB:5.1f} GiB  {connections * found.stored / GIB:5.1f} GiB"
            f"  {rate * found.received * 8 / 1e6:5.2f} Mbit/s"
            f"  {rate * found.sent * 8 / 1e6:5.2f} Mbit/s"
        )
    return rows


assert HOSTS * MAX_CHECKS_AT_HOST >= MAX_CHECKS
