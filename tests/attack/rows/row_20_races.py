"""Row 20: two processes write to the same rows of one database at the same moment."""

import asyncio
from collections.abc import Sequence

from service.storage.migrations import migrate_apart
from tests.attack.row import Figure, Ground, share
from tests.support.postgres import Cluster
from tests.support.racing import raced

ROUNDS = 200


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    rounds = share(ROUNDS, part)
    cluster = await asyncio.to_thread(Cluster.started, ground.postgres)
    try:
        url = cluster.url(await cluster.new_database())
        assert await asyncio.to_thread(migrate_apart, url)
        outcomes = await raced(url, rounds)
    finally:
        await asyncio.to_thread(cluster.remove)
    faults = {name: count for name, count in outcomes.items() if "INTERNAL" in name}
    away = outcomes["ServiceUnavailable"]
    return [
        Figure(
            f"{rounds} rounds of creates, connects, deletes, debits and reservations of two"
            " processes on PostgreSQL",
            f"{sum(faults.values())} INTERNAL, {away} SERVICE_UNAVAILABLE of {outcomes.total()}"
            f" calls, {outcomes['done']} done",
            not faults,
        )
    ]
