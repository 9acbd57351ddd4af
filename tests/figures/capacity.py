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
from pathlib import Path
from statistics import median
from time import perf_counter

import asyncpg
import click

from service.app.build import build
from service.app.startup import open_vault
from service.connections.monitor import MAX_CHECKS_AT_HOST
from service.domain.clock import SystemClock
from service.domain.model import Tenant
from tests.bench.load import WrongReplies
from tests.bench.processes import load_on_one_core
from tests.bench.seed import login, settings
from tests.support.postgres import Cluster, binaries, busy

AT_ONCE = 100
TENANTS = 50
HOSTS = 16
"""Account servers: the monitor asks each of them a few things at once."""
CHECK_HOURS = 6
DRAIN_SECONDS = 10
CONNECTS, CHECKS = "durable connects of many tenants", "checks of many tenants"
LEAST_CONNECTS = 1000
"""Target: durable connects a second."""
MILLION_CHECKS = 1_000_000 / (CHECK_HOURS * 3600)
"""Checks a second of a million connections."""
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


async def table(rounds: int = 5, seconds: int = 4) -> bool:
    """Print the figures; return whether they meet their targets."""
    programs = binaries()
    if programs is None:
        sys.exit("PostgreSQL's server is not installed")
    click.echo(f"load average before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        measured = await costs(Path(folder), programs, rounds, seconds)
    for name, found in measured.items():
        click.echo(row(name, found))
    return False


async def costs(folder: Path, programs: Path, rounds: int, seconds: float) -> dict[str, list[Cost]]:
    """Measure connects and checks in turns."""
    with load_on_one_core() as core:
        cluster = await asyncio.to_thread(Cluster.started, programs, durable=True)
        try:
            async with _instant() as origins:
                if core:
                    os.sched_setaffinity(0, {int(core)})
                url = cluster.url(await cluster.new_database())
                return await _measured(folder, cluster, url, origins, rounds, seconds)
        finally:
            await asyncio.to_thread(cluster.remove)


async def _measured(
    folder: Path, cluster: Cluster, url: str, origins: list[str], rounds: int, seconds: float
) -> dict[str, list[Cost]]:
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
                write, _ = login(
                    vault, tenants[one % TENANTS], clock.now(), origins[saved % len(origins)]
                )
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

            found: dict[str, list[Cost]] = {CONNECTS: [], CHECKS: []}
            # the first round loads what only the first call loads
            for number in range(rounds + 1):
                for name, work in ((CONNECTS, connects), (CHECKS, checks)):
                    await beside.execute("UPDATE connections SET next_check_at = 0")
                    await beside.execute("VACUUM connections")
                    cost = await _cost(work, beside, cluster)
                    if number:
                        found[name].append(cost)
            if await beside.fetchval("SELECT COUNT(*) FROM sessions") != saved:
                raise WrongReplies("connects were acknowledged that are not in the store")
            return found
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


@asynccontextmanager
async def _instant() -> AsyncIterator[list[str]]:
    """Start the account server; yield its origins."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.instant", str(HOSTS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        port = int(await server.stdout.readline())
        yield [f"http://127.0.0.{host}:{port}" for host in range(1, HOSTS + 1)]
    finally:
        server.terminate()
        await server.wait()


def row(name: str, found: list[Cost]) -> str:
    """Return the medians as text."""

    def each(of: Callable[[Cost], float]) -> float:
        return median(of(cost) / cost.count for cost in found)

    return (
        f"{name:34} {median(cost.rate for cost in found):7.1f} /s"
        f"  process {each(lambda cost: cost.own) * 1e3:5.2f} ms"
        f"  PostgreSQL {each(lambda cost: cost.database) * 1e3:5.2f} ms"
        f"  {each(lambda cost: cost.commits):5.2f} commits"
        f"  {each(lambda cost: cost.wal) / 1024:5.1f} KiB WAL"
    )


assert HOSTS * MAX_CHECKS_AT_HOST >= 32
