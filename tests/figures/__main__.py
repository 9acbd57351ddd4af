"""Measure figures on this machine, and print them beside their targets.

    python -m tests.figures outages [PLATFORM [HOW_MANY_OF_EACH_KIND]]
    python -m tests.figures guesses [HOW_MANY]
    python -m tests.figures breaks [PLATFORM]
    python -m tests.figures rounds [CONNECTIONS]
    python -m tests.figures leases [PLATFORM]
    python -m tests.figures nodes [SECONDS]
    python -m tests.figures upgrade
    python -m tests.figures capacity [ROUNDS] [SECONDS]
    python -m tests.figures webhooks [EVENTS]
    python -m tests.figures metrics_cost [ROUNDS] [SECONDS]

PLATFORM is bluesky, wordpress, mastodon or ghost; Bluesky if it is left out. Figures of Bluesky use
a real server, which needs `make tools`, except for outages; those of the others use the sandbox's
stand-ins. The exit code is 1 if a target is missed.
"""

import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from . import (
    breaks,
    capacity,
    guesses,
    leases,
    metrics_cost,
    nodes,
    outages,
    rounds,
    upgrade,
    webhooks,
)

FIGURES: dict[str, Callable[..., Awaitable[bool]]] = {
    "outages": outages.table,
    "guesses": guesses.table,
    "breaks": breaks.table,
    "rounds": rounds.table,
    "leases": leases.table,
    "nodes": nodes.table,
    "upgrade": upgrade.table,
    "capacity": capacity.table,
    "webhooks": webhooks.table,
    "metrics_cost": metrics_cost.table,
}


def _parsed(argument: str) -> int | str:
    return int(argument) if argument.isdecimal() else argument


def main(name: str = "", *arguments: str) -> None:
    if name not in FIGURES:
        sys.exit(__doc__)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    if not uvloop.run(FIGURES[name](*map(_parsed, arguments))):  # type: ignore[arg-type]
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
