"""Connects: durable ones per second, with a platform that answers at once."""

import asyncio
from pathlib import Path
from time import perf_counter

from service.app.startup import open_store, open_vault
from service.crypto.keyring import Keyring
from service.domain.audit import AuditedCall, audited
from service.domain.clock import SystemClock
from service.domain.model import Tenant
from tests.bench.figure import Figure
from tests.bench.load import WrongReplies
from tests.bench.processes import on_core
from tests.bench.seed import login, settings
from tests.support.engines import rows
from tests.support.postgres import Cluster

AT_ONCE = 100
LEAST = 1000
"""Target, for many tenants."""
CROWD = 50
"""Tenants, for many: connects of one tenant wait for the row that numbers its events."""


async def connects(
    folder: Path, cluster: Cluster, core: str, rounds: int, seconds: float
) -> list[Figure]:
    """Measure sealing and saving for many tenants and for one, on each engine; a commit reaches the
    disk. This process runs on *core*, as a server would; PostgreSQL has the other."""
    urls = {
        "SQLite": f"sqlite:///{folder / 'connects.db'}",
        "PostgreSQL": cluster.url(await cluster.new_database()),
    }
    figures = []
    for engine, database_url in urls.items():
        with on_core(core):
            many, one = [
                await _made(folder, database_url, rounds, seconds, crowd) for crowd in (CROWD, 1)
            ]
        figures += [
            Figure(f"durable connects of many tenants, {engine}", "/s", many, least=LEAST),
            Figure(f"durable connects of one tenant, {engine}", "/s", one),
        ]
    return figures


async def _made(
    folder: Path, database_url: str, rounds: int, seconds: float, crowd: int
) -> list[float]:
    read = settings(folder, database_url)
    tenants = [f"crowd{crowd}-{number}" for number in range(crowd)]
    async with open_store(read) as store:
        vault = await open_vault(store, Keyring(read.keyring_file))
        for tenant_id in tenants:
            await store.tenants.create(Tenant(tenant_id, "bench", SystemClock().now()))
        saved = 0

        async def connect(tenant_id: str, until: float) -> None:
            nonlocal saved
            while perf_counter() < until:
                write = login(vault, tenant_id, SystemClock().now())[0]
                with audited(AuditedCall("ConnectProfile", "bench", tenant_id=tenant_id)):
                    await store.connections.save_login(write)
                saved += 1

        rates = []
        for _ in range(rounds):
            begun, before = perf_counter(), saved
            await asyncio.gather(
                *(connect(tenants[one % crowd], begun + seconds) for one in range(AT_ONCE))
            )
            rates.append((saved - before) / (perf_counter() - begun))
    [row] = await asyncio.to_thread(
        rows,
        database_url,
        "SELECT COUNT(*) AS there FROM connections JOIN credentials USING (tenant_id, profile_key)"
        " JOIN sessions USING (tenant_id, profile_key) WHERE tenant_id LIKE ?",
        f"crowd{crowd}-%",
    )
    if row["there"] != saved:
        raise WrongReplies("connects were acknowledged that are not in the store")
    return rates
