"""Metrics: what they cost a GetProfile, by the shipped server beside one without metrics.

Both serve SQLite files of their own on one core, in turns; the load has the other core. As a
program, this module is the server without metrics.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from random import Random
from statistics import median
from unittest.mock import patch

import click

from service.app import startup
from service.app.gauges import Gauges
from service.cli.entry import main
from service.runtime.metrics import Metrics
from service.storage.engine import Engine
from service.transport.call_metrics import CallMetrics
from tests.bench.load import calls, rate
from tests.bench.methods import GET, works
from tests.bench.processes import Server, load_on_one_core, started
from tests.bench.seed import Owner, plant, settings
from tests.bench.throughput import PROFILES, TENANTS

MOST_LOST = 0.02
"""Target: the share of a GetProfile that metrics take."""


async def table(rounds: int = 20, seconds: int = 2) -> bool:
    """Print the calls per second and the CPU time of each; return whether the target is met."""
    click.echo(f"load average before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, load_on_one_core() as core:
        rates, costs = await _measured(Path(folder), core, rounds, seconds)
    for number, name in enumerate(("without metrics", "as shipped")):
        click.echo(
            f"GetProfile, {name:15}  {median(pair[number] for pair in rates):7.0f} calls/s"
            f"  {median(pair[number] for pair in costs) * 1e6:6.1f} µs of CPU time"
        )
    more = [shipped / bare - 1 for bare, shipped in costs]
    fewer = [1 - shipped / bare for bare, shipped in rates]
    click.echo(f"fewer calls a second: median {median(fewer):.1%} of {rounds} rounds")
    click.echo(
        f"more CPU time: median {median(more):.1%}, from {min(more):.1%} to {max(more):.1%}"
        f" (target: at most {MOST_LOST:.0%})"
    )
    return median(more) <= MOST_LOST


async def _measured(
    folder: Path, core: str, rounds: int, seconds: float
) -> tuple[list[list[float]], list[list[float]]]:
    """Return calls per second, and CPU seconds of a call: in each round without metrics, with."""
    chance = Random(1)
    stores = [settings(folder, f"sqlite:///{folder / name}") for name in ("bare.db", "shipped.db")]
    owners = [await plant(store, TENANTS, PROFILES) for store in stores]
    log = folder / "log"
    rates, costs = [], []
    async with (
        started((__spec__.name, "serve"), stores[0], core, log) as bare,
        started(("service", "serve"), stores[1], core, log) as shipped,
    ):
        subjects = list(zip((bare, shipped), owners, strict=True))
        each = int(await _rate(*subjects[0], chance, seconds) * seconds)
        for number in range(rounds):
            found = [(0.0, 0.0)] * 2
            for which in (0, 1) if number % 2 else (1, 0):
                found[which] = await _one(*subjects[which], chance, each)
            rates.append([one[0] for one in found])
            costs.append([one[1] for one in found])
    return rates, costs


async def _rate(server: Server, owners: list[Owner], chance: Random, seconds: float) -> float:
    return await rate(server.address, await works(server.address, GET, owners, chance), seconds)


async def _one(
    server: Server, owners: list[Owner], chance: Random, count: int
) -> tuple[float, float]:
    its = await works(server.address, GET, owners, chance)
    each = max(1, count // len(its))
    before = server.busy
    its_rate = await calls(server.address, its, each)
    return its_rate, (server.busy - before) / (each * len(its))


def _unmeasured(engine: Engine, _: Metrics) -> Engine:
    return engine


async def _never(_: Gauges) -> None:
    await asyncio.Event().wait()


def _nothing(*_: object, **__: object) -> None:
    pass


if __name__ == "__main__":
    with (
        patch.object(startup, "MeasuredEngine", _unmeasured),
        patch.multiple(CallMetrics, begin=_nothing, end=_nothing),
        patch.multiple(Gauges, follow_lag=_never, count_rows=_never, follow_loop=_never),
    ):
        main()
