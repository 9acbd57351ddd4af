"""Size: memory with everything loaded, its growth by calls, and the time until calls are taken."""

import asyncio
from pathlib import Path
from random import Random
from time import perf_counter

from tests.bench.figure import Figure
from tests.bench.load import calls
from tests.bench.methods import GET, LEASE, works
from tests.bench.processes import Server, started
from tests.bench.seed import plant, settings

GROWTH = 1.0
"""MiB over 100,000 calls that still count as none: single pages."""


async def size(folder: Path, core: str, starts: int, count: int, settled: float) -> list[Figure]:
    """Start a server *starts* times, then call it *count* times."""
    read = settings(folder, f"sqlite:///{folder / 'size.db'}")
    owners = await plant(read, 1, 100)
    chance = Random(2)
    times = []
    for _ in range(starts):
        begun = perf_counter()
        async with started(("service", "serve"), read, core, folder / "log") as server:
            times.append(perf_counter() - begun)
            # ready alone proves little: a client must get an answer
            await works(server.address, GET, owners, chance)
    async with started(("service", "serve"), read, core, folder / "log") as server:
        for method in (GET, LEASE):
            await works(server.address, method, owners, chance)
        idle = await _settled(server, settled)
        some = await works(server.address, GET, owners, chance)
        # one-time allocations that do not depend on the number of calls: thread stacks, caches,
        # arenas
        await calls(server.address, some, max(1, count // 5 // len(some)))
        before = await _settled(server, settled)
        await calls(server.address, some, max(1, count // len(some)))
        grown = await _settled(server, settled) - before
    return [
        Figure("idle memory, with everything loaded", "MiB", [idle], most=120),
        Figure(f"growth over {count:,} calls", "MiB", [grown], most=GROWTH),
        Figure("start-up until calls are taken", "s", times, most=1),
    ]


async def _settled(server: Server, seconds: float) -> float:
    """Return its memory, once it is constant for *seconds*: the SDK loads after the start."""
    loop = asyncio.get_running_loop()
    memory, since = server.memory, loop.time()
    while loop.time() - since < seconds:
        await asyncio.sleep(0.1)
        if abs(server.memory - memory) > 0.1:
            memory, since = server.memory, loop.time()
    return memory
