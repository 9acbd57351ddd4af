"""File descriptors: the process's limit, and how many of them callers' connections may use.

Outbound connections and the store keep a reserve that callers cannot exhaust.
"""

import resource
from dataclasses import dataclass

import structlog

from service.platforms.egress.pool import MAX_CONNECTIONS
from service.settings import Settings

EGRESS_POOLS = 2
"""Pools of connections to platforms, each of up to MAX_CONNECTIONS."""
NAME_LOOKUP_SOCKETS = 64
SQLITE_FILES = 16
OTHER_FILES = 64
"""Files, pipes and listeners, libraries' own included."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections of callers may be open at once, by port.

    The HTTP port may have as many again in their TLS handshake.
    """

    grpc: int
    http: int


def raise_descriptor_limit() -> int:
    """Raise the soft limit of descriptors to the hard limit; return the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # some systems reject an unlimited hard limit
            return soft
    return hard if hard != resource.RLIM_INFINITY else 2**31


def connection_limits(settings: Settings, limit: int) -> ConnectionLimits:
    """Return the limits that *settings* name, scaled down if *limit* descriptors do not suffice.

    Logs a warning in that case.
    """
    database = settings.database_pool_size if settings.is_postgres else SQLITE_FILES
    reserve = EGRESS_POOLS * MAX_CONNECTIONS + NAME_LOOKUP_SOCKETS + database + OTHER_FILES
    wanted = ConnectionLimits(settings.max_grpc_connections, settings.max_http_connections)
    needed = reserve + wanted.grpc + 2 * wanted.http
    if limit >= needed:
        return wanted
    available = max(limit - reserve, limit // 4)
    share = available / (needed - reserve)
    granted = ConnectionLimits(max(1, int(wanted.grpc * share)), max(1, int(wanted.http * share)))
    log.warning(
        "the limit of descriptors is below what the settings may need",
        limit=limit,
        needed=needed,
        grpc_connections=granted.grpc,
        http_connections=granted.http,
    )
    return granted
