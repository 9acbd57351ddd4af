"""Descriptors: how many the process may have, and how many of them calls may take.

Connections of callers never take those that the way out and the store need.
"""

import resource
from dataclasses import dataclass

import structlog

from service.platforms.egress.egress import MOST_CONNECTIONS
from service.settings import Settings

POOLS = 2
"""Of connections to platforms, each with up to MOST_CONNECTIONS."""
NAME_LOOKUPS = 64
SQLITE = 16
OTHERS = 64
"""Files, pipes, listeners, and what libraries open for themselves."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections of callers there may be at once, by port.

    The HTTP port can have as many again on which TLS is still being agreed.
    """

    grpc: int
    http: int


def raise_limit() -> int:
    """Raise the soft limit of descriptors to the hard one; returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # some systems refuse a hard limit that is unlimited
            return soft
    return hard if hard != resource.RLIM_INFINITY else 2**31


def connections(settings: Settings, limit: int) -> Connections:
    """The connections that *settings* name, or fewer where *limit* descriptors do not suffice.

    Logs a warning in that case.
    """
    database = settings.database_pool_size if settings.is_postgres else SQLITE
    reserve = POOLS * MOST_CONNECTIONS + NAME_LOOKUPS + database + OTHERS
    wanted = Connections(settings.max_grpc_connections, settings.max_http_connections)
    needed = reserve + wanted.grpc + 2 * wanted.http
    if limit >= needed:
        return wanted
    left = max(limit - reserve, limit // 4)
    part = left / (needed - reserve)
    granted = Connections(max(1, int(wanted.grpc * part)), max(1, int(wanted.http * part)))
    log.warning(
        "the limit of descriptors is below what the settings may need",
        limit=limit,
        needed=needed,
        grpc_connections=granted.grpc,
        http_connections=granted.http,
    )
    return granted
