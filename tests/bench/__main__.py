"""The bench: speed and size of the service on this machine, beside their targets.

    python -m tests.bench [ROUNDS] [SECONDS]

Prints the table, writes results.json and results.svg beside this file, and ends with `bench: N of M
targets met`. The exit code does not depend on the targets. The bench needs h2load (on Debian:
nghttp2-client), PostgreSQL's server and `make tools`.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.bench.connects import connects
from tests.bench.figure import HEAD, Figure, summary
from tests.bench.growth import SIZES, growth
from tests.bench.load import is_installed
from tests.bench.logins import logins
from tests.bench.plot import drawn
from tests.bench.processes import load_on_one_core
from tests.bench.size import size
from tests.bench.throughput import stage, throughput
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.leasing import ROOT
from tests.support.postgres import Cluster, binaries

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Extent:
    """The extent of a bench."""

    rounds: int = 6
    seconds: float = 2.0
    tenants: int = 8
    profiles: int = 125
    """Of each tenant."""
    logins: int = 20
    starts: int = 6
    calls: int = 100_000
    settled: float = 2.0
    """Seconds for which memory must be constant before it counts."""
    sizes: tuple[int, ...] = SIZES
    """The sizes, in profiles, of the stores that are compared."""
    pinned: bool = True


async def measured(extent: Extent, pds: Path, programs: Path, folder: Path) -> list[Figure]:
    """Measure all figures, one part after the other."""
    with load_on_one_core() if extent.pinned else nullcontext("") as core:
        cluster = await asyncio.to_thread(Cluster.started, programs)
        try:
            async with stage(folder, cluster, core, extent.tenants, extent.profiles) as on:
                figures = await throughput(on, extent.rounds, extent.seconds)
        finally:
            await asyncio.to_thread(cluster.remove)
        cluster = await asyncio.to_thread(Cluster.started, programs, durable=True)
        try:
            figures += await growth(folder, cluster, extent.rounds, extent.sizes)
            figures += await connects(folder, cluster, core, extent.rounds, extent.seconds)
        finally:
            await asyncio.to_thread(cluster.remove)
        figures += await size(folder, core, extent.starts, extent.calls, extent.settled)
    async with await RealServer.start(pds, app_view=True) as server:
        figures += await logins(folder, RealBluesky(server), extent.logins)
    return figures


def machine() -> dict[str, Any]:
    """Return a description of this machine and its software."""
    names = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        # the machine's other load in the minute before
        "load_before": round(os.getloadavg()[0], 1),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main(rounds: str = "6", seconds: str = "2") -> None:
    programs = binaries()
    found = subprocess.run(
        [ROOT / "tests/pds/install", "--check"], stdout=subprocess.PIPE, text=True, check=False
    )
    if programs is None or found.returncode or not is_installed():
        sys.exit(__doc__)
    of = machine()
    with tempfile.TemporaryDirectory() as folder:
        extent = Extent(int(rounds), float(seconds))
        figures = asyncio.run(measured(extent, Path(found.stdout.strip()), programs, Path(folder)))
    click.echo("\n".join([HEAD, *(figure.row for figure in figures)]))
    results = {"machine": of, "figures": [figure.as_json() for figure in figures]}
    (HERE / "results.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    (HERE / "results.svg").write_text(drawn(figures))
    click.echo(summary(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
