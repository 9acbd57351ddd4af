"""Measure figures on this machine, and print them beside their targets.

    python -m tests.figures outages [HOW_MANY_OF_EACH_KIND]
    python -m tests.figures guesses [HOW_MANY]
    python -m tests.figures breaks
    python -m tests.figures rounds [CONNECTIONS]
    python -m tests.figures leases
    python -m tests.figures nodes [SECONDS]
    python -m tests.figures upgrade

The exit code is 1 if a target is missed. Figures that use a real Bluesky server need `make tools`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import structlog

from . import breaks, guesses, leases, nodes, outages, rounds, upgrade

FIGURES: dict[str, Callable[..., Awaitable[bool]]] = {
    "outages": outages.table,
    "guesses": guesses.table,
    "breaks": breaks.table,
    "rounds": rounds.table,
    "leases": leases.table,
    "nodes": nodes.table,
    "upgrade": upgrade.table,
}


def main(name: str = "", *arguments: str) -> None:
    if name not in FIGURES:
        sys.exit(__doc__)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    if not asyncio.run(FIGURES[name](*map(int, arguments))):  # type: ignore[arg-type]
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
