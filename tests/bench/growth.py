"""Growth: the time of reads and monitor writes in stores of a thousand to a million profiles."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from service.domain.model import DAY, SECOND, Place
from service.storage.migrations import migrate_apart
from service.storage.store import SqlStore
from tests.bench.figure import Figure
from tests.bench.load import WrongReplies
from tests.support.engines import opened, rows
from tests.support.postgres import Cluster

SIZES = (1_000, 100_000, 1_000_000)
FLAT = 1.5
CALLS = 40
"""Of each kind, in each store, in a round."""
ASKED_FOR = 400
"""Profiles that callers read, from the whole store: the pages that they need are cached."""
PAGE = 50
PICKED = 8
BEGUN = 1_700_000_000 * SECOND
"""The creation time of the first profile; each later one is a second newer."""
NOW = BEGUN + 1000 * DAY
MANY, FEW = "ten_many", "ten_few"
"""Tenants with half of all profiles each: one in eight of the first tenant's must reconnect, and of
the second's only the last hundred."""
SMALL = 100
"""Tenants without profiles, in each store: only the number of profiles grows."""
PRIME, STEP = 1_000_000_007, 387_420_489
"""Real keys are random: these visit all numbers without order and without repeats."""

NUMBERS = """
WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {last})
"""
_KEY = f"'prof_' || (10000000000 + i * {STEP} % {PRIME})"
_TENANT = f"CASE i % 2 WHEN 0 THEN '{MANY}' ELSE '{FEW}' END"
_MADE = f"{BEGUN} + i * {SECOND}"
_BROKEN = "CASE i % 2 WHEN 0 THEN i % 16 = 0 ELSE i > {last} - 200 END"
PLANT = (
    f"INSERT INTO tenants (tenant_id, name, created_at) VALUES ('{MANY}', '', 1), ('{FEW}', '', 2)",
    f"""
    INSERT INTO tenants (tenant_id, name, created_at)
    {NUMBERS} SELECT 'ten_small' || i, '', 3 FROM n WHERE i < {SMALL}
    """,
    f"""
    INSERT INTO profiles (tenant_id, profile_key, created_at)
    {NUMBERS} SELECT {_TENANT}, {_KEY}, {_MADE} FROM n
    """,
    # half of them are due, as after a night without a network
    f"""
    INSERT INTO connections (tenant_id, profile_key, platform, account_id, username, display_name,
        origin, generation, state, reconnect_reason, connected_at, last_verified_at, document_at,
        next_check_at, profile_created_at)
    {NUMBERS} SELECT {_TENANT}, {_KEY}, 'bluesky', 'did:plc:' || (100000000000000 + i),
        'u' || i || '.bsky.social', 'u' || i || '.bsky.social', 'https://bsky.social', i,
        CASE WHEN {_BROKEN} THEN 'BROKEN' ELSE 'HEALTHY' END,
        CASE WHEN {_BROKEN} THEN 'APP_PASSWORD_REVOKED' END, {_MADE}, {_MADE}, {_MADE},
        {NOW} + CASE WHEN i % 4 < 2 THEN -1 ELSE 1 END * i * 1000,
        CASE WHEN {_BROKEN} THEN {_MADE} END
    FROM n
    """,
)


def key(number: int) -> str:
    """Return the key of the profile with that number."""
    return f"prof_{10_000_000_000 + number * STEP % PRIME}"


@dataclass(frozen=True)
class Grown:
    """A store with a given number of profiles."""

    store: SqlStore
    size: int

    async def warm_up(self) -> None:
        for number in range(ASKED_FOR):
            await self._get(number)

    async def get(self, chance: Random) -> None:
        await self._get(chance.randrange(ASKED_FOR))

    async def first_page(self, _: Random) -> None:
        await self._page(MANY, 0, to_reconnect=False)

    async def far_page(self, _: Random) -> None:
        await self._page(MANY, BEGUN + self.size * 3 // 4 * SECOND, to_reconnect=False)

    async def to_reconnect(self, _: Random) -> None:
        """List the profiles to reconnect of both tenants."""
        for tenant_id in (MANY, FEW):
            await self._page(tenant_id, 0, to_reconnect=True)

    async def pick(self, _: Random) -> None:
        picked = await self.store.checks.pick_due(NOW, NOW, PICKED, "")
        _check(len(picked) == PICKED)

    async def _get(self, number: int) -> None:
        number *= 2 * (self.size // (2 * ASKED_FOR))
        found = await self.store.profiles.get(MANY, key(number))
        _check(found.created_at == BEGUN + number * SECOND)

    async def _page(self, tenant_id: str, after: int, *, to_reconnect: bool) -> None:
        page = await self.store.profiles.page(
            tenant_id, Place(after, ""), PAGE, to_reconnect=to_reconnect
        )
        _check(len(page) == PAGE and len(page[0].connections) == 1)


def _check(right: bool) -> None:
    if not right:
        raise WrongReplies("the store returned other rows than the planted ones")


Call = Callable[[Grown, Random], Awaitable[None]]
CALLED: tuple[tuple[str, Call], ...] = (
    ("GetProfile", Grown.get),
    ("ListProfiles of 50", Grown.first_page),
    ("ListProfiles of 50, far in", Grown.far_page),
    ("ListProfiles, needs_reconnect_only, twice", Grown.to_reconnect),
    ("the monitor's pick of what is due", Grown.pick),
)


def plant(database_url: str, size: int) -> None:
    """Create a store in today's schema with *size* connected profiles, without secrets."""
    assert migrate_apart(database_url)
    for statement in (*PLANT, "ANALYZE"):
        rows(database_url, statement.format(last=size - 1))


@asynccontextmanager
async def grown(urls: Sequence[tuple[str, int]]) -> AsyncIterator[list[Grown]]:
    """Yield a store of the given size at each URL."""
    async with AsyncExitStack() as stack:
        found = []
        for database_url, size in urls:
            await asyncio.to_thread(plant, database_url, size)
            store = SqlStore(await opened(database_url))
            stack.push_async_callback(store.close)
            found.append(Grown(store, size))
            await found[-1].warm_up()
        yield found


async def growth(
    folder: Path, cluster: Cluster, rounds: int, sizes: Sequence[int] = SIZES
) -> list[Figure]:
    """Compare the slowest larger store with the smallest, in turns, on both engines."""
    files = [(f"sqlite:///{folder / f'{size}.db'}", size) for size in sizes]
    databases = [(cluster.url(await cluster.new_database()), size) for size in sizes]
    figures = []
    for engine, urls in (("SQLite", files), ("PostgreSQL", databases)):
        async with grown(urls) as stores:
            for name, call in CALLED:
                took = [await _round(stores, call, number) for number in range(rounds + 1)][1:]
                figures += [
                    Figure(
                        f"growth: {name}, {engine}",
                        "× 1st",
                        [max(times[1:]) / times[0] for times in took],
                        most=FLAT,
                    ),
                    Figure(f"  of {sizes[-1]:,}", "ms", [times[-1] * 1000 for times in took]),
                ]
    return figures


async def _round(stores: Sequence[Grown], call: Call, number: int) -> list[float]:
    """Return the median time of *call* in each of *stores*."""
    took: list[list[float]] = [[] for _ in stores]
    chance = Random(number)
    for _ in range(CALLS):
        for store, times in zip(stores, took, strict=True):
            begun = perf_counter()
            await call(store, chance)
            times.append(perf_counter() - begun)
    return [median(times) for times in took]
