"""Leases: their cost; of Bluesky, counted and timed at a real server."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import grpc.aio

from service.storage.migrations import migrate_apart
from tests.conftest import tool
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.leasing import MINUTE, Counted, environ_of
from tests.support.node import TASKS, lease, nodes
from tests.support.running import MovedClock, Running, running

from . import site_leases

LEASES = 10_000
EXPIRIES = 11
"""In less than the time to the first check, which also refreshes a session."""
NODES = 4
LOGINS = 30
LEASES_A_LOGIN = 10
TARGET = 300


@dataclass(frozen=True)
class Speed:
    """Medians, in milliseconds."""

    login: float
    lease: float

    @property
    def ratio(self) -> float:
        return self.login / self.lease


async def life(bluesky: RealBluesky, database: Path, leases: int, expiries: int) -> tuple[int, int]:
    """Return the logins and refreshes of one connection with *leases* leases and *expiries*
    expiries."""
    clock = MovedClock()
    person = await bluesky.person()
    spent = await Counted.at(bluesky)
    settings = {**bluesky.settings(), "CHECK_HOURS": "24", "CALLS_PER_SECOND": "100000"}
    async with running(database, settings, clock) as service:
        key = (await service.connect(person.handle, person.app_password)).profile_key
        for expired in range(expiries + 1):
            # five minutes of two hours are left
            clock.ahead = expired * 115 * MINUTE
            for _ in range(leases // (expiries + 1) + (expired < leases % (expiries + 1))):
                lent = await service.lease(key)
            assert lent.access_token == service.session().access_token
        assert service.rows("SELECT reconnect_reason FROM connections") == [
            {"reconnect_reason": None}
        ]
    assert service.rows("SELECT COUNT(*) AS number FROM audit WHERE lent <> ''") == [
        {"number": leases}
    ]
    return await spent()


async def rush(bluesky: RealBluesky, database: Path) -> tuple[int, int]:
    """Return the logins and refreshes of NODES × TASKS concurrent leases of an expired token."""
    person = await bluesky.person()
    settings = {**bluesky.settings(), "CHECK_HOURS": "24"}
    async with running(database, settings) as service:
        key = (await service.connect(person.handle, person.app_password)).profile_key
    spent = await Counted.at(bluesky)
    async with nodes(service.settings, 115 * MINUTE, NODES) as applications:
        await asyncio.gather(*(lease(node, service.tenant_id, key, TASKS) for node in applications))
    return await spent()


async def speed(bluesky: RealBluesky, database: Path, logins: int) -> Speed:
    """Time leases of a stored token from a server process, and logins by the SDK.

    Both alternate, so that other load on the machine affects them equally.
    """
    from atproto import AsyncClient, AsyncRequest  # a second and 40 MB, for this figure alone

    person = await bluesky.person()
    times: dict[str, list[float]] = {"login": [], "lease": []}
    async with running(database, bluesky.settings()) as service:
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await service.lease(key)
    async with served(service) as server:
        for _ in range(100):
            await server.lease(key, api_key=service.leasing_key)
        for _ in range(logins):
            client = AsyncClient(bluesky.origin, request=AsyncRequest(trust_env=False))
            begun = perf_counter()
            await client.login(person.handle, person.app_password)
            times["login"].append(perf_counter() - begun)
            for _ in range(LEASES_A_LOGIN):
                begun = perf_counter()
                await server.lease(key, api_key=service.leasing_key)
                times["lease"].append(perf_counter() - begun)
            await client.request.close()
    return Speed(*(median(times[name]) * 1000 for name in ("login", "lease")))


@asynccontextmanager
async def served(service: Running) -> AsyncIterator[Running]:
    """Serve the store of *service*, which is stopped, from its own process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "serve"),
        env=environ_of(service.settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout
        ready = (await process.stdout.readline()).decode().split()
        [address] = [word[5:] for word in ready if word.startswith("grpc=")]
        async with grpc.aio.insecure_channel(address) as channel:
            yield Running(service.settings, address, channel, service.tenant_id)
    finally:
        process.terminate()
        await process.wait()


async def table(platform: str = "bluesky") -> bool:
    """Print the figures; return whether all targets are met."""
    if platform != "bluesky":
        return await site_leases.table(platform)
    folder = tool("tests/pds/install")
    with tempfile.TemporaryDirectory() as made:
        databases = [Path(made) / f"{name}/postcore.db" for name in ("life", "rush", "speed")]
        for database in databases:
            database.parent.mkdir()
            assert migrate_apart(f"sqlite:///{database}")
        async with await RealServer.start(folder, app_view=True) as server:
            bluesky = RealBluesky(server)
            of_life = await life(bluesky, databases[0], LEASES, EXPIRIES)
            of_rush = await rush(bluesky, databases[1])
            fast = await speed(bluesky, databases[2], LOGINS)
    rows = (
        (f"logins of {LEASES} leases, {EXPIRIES} expiries", of_life[0], "1", of_life[0] == 1),
        ("refreshes of these", of_life[1], str(EXPIRIES), of_life[1] == EXPIRIES),
        (f"logins of {NODES} × {TASKS} leases at once", of_rush[0], "0", of_rush[0] == 0),
        ("refreshes of these", of_rush[1], "1", of_rush[1] == 1),
        ("the SDK's login(), median, ms", round(fast.login, 1), "", True),
        ("a lease, median, ms", round(fast.lease, 2), "", True),
        ("how often a lease fits into a login", round(fast.ratio), f"≥ {TARGET}",
         fast.ratio >= TARGET),
    )  # fmt: skip
    for name, value, target, met in rows:
        click.echo(f"{name:42} {value:>8}  {target:>6}{'' if met else '  MISSED'}")
    return all(met for *_, met in rows)
