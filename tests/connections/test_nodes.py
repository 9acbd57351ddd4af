"""Nodes: of many processes on one store, one refreshes a session. On SQLite, one process serves
from a file; leases are still claimed there, and the tests apply to every engine."""

import asyncio
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.leasing import MINUTE, ROOT, Counted, end_session, environ_of
from tests.support.node import TASKS, lease, nodes
from tests.support.running import Running, running

EXPIRING = 115 * MINUTE
NODES = 4
DEADLINE = 90.0


async def connected(
    bluesky: RealBluesky, database: Path, database_url: str, *, dead_token: bool
) -> tuple[Running, str]:
    """A stopped service, and a profile that it has connected."""
    person = await bluesky.person()
    settings = {**bluesky.settings(), "DATABASE_URL": database_url, "CHECK_HOURS": "24"}
    async with running(database, settings) as service:
        key = (await service.connect(person.handle, person.app_password)).profile_key
        if dead_token:
            await end_session(bluesky, service.session())
    return service, key


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


SPENT = [pytest.param(False, (0, 1), id="refresh"), pytest.param(True, (1, 1), id="login")]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize(("dead_token", "expected"), SPENT)
async def test_four_simultaneous_processes_spend_one(
    pds: RealServer,
    database: Path,
    database_url: str,
    dead_token: bool,
    expected: tuple[int, int],
) -> None:
    """Two hundred leases of a token that is due cost one refresh at the server, and one login if
    the refresh token is invalid. All return the stored token."""
    bluesky = RealBluesky(pds)
    service, key = await connected(bluesky, database, database_url, dead_token=dead_token)
    spent = await Counted.at(bluesky)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.node", service.tenant_id, key, str(EXPIRING), str(TASKS)),
            cwd=ROOT,
            env=environ_of(service.settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(NODES)
    ]
    try:
        async with asyncio.timeout(DEADLINE):
            for process in processes:
                assert process.stdout
                while await process.stdout.readline() != b"ready\n":
                    pass  # lines of the log
            outputs = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    digests = [one for out, _ in outputs for one in json.loads(out.splitlines()[-1])]
    assert len(digests) == NODES * TASKS
    assert set(digests) == {digest(service.session().access_token)}
    assert await spent() == expected


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize(("dead_token", "expected"), SPENT)
async def test_four_simultaneous_applications_spend_one(
    pds: RealServer,
    database: Path,
    database_url: str,
    dead_token: bool,
    expected: tuple[int, int],
) -> None:
    """As with four processes; the applications share one process but only coordinate through the
    store."""
    bluesky = RealBluesky(pds)
    service, key = await connected(bluesky, database, database_url, dead_token=dead_token)
    spent = await Counted.at(bluesky)
    async with nodes(service.settings, EXPIRING, NODES) as applications:
        digests = await asyncio.gather(
            *(lease(node, service.tenant_id, key, TASKS) for node in applications)
        )
    assert {one for of_node in digests for one in of_node} == {
        digest(service.session().access_token)
    }
    assert await spent() == expected
