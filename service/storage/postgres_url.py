"""The URL of a PostgreSQL database: where it leads, read as the driver (asyncpg) reads it."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

_HOST = r"(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?"
# without a host it is the socket of this machine, or in the folder that ?host= names
_URL = re.compile(
    rf"postgres(?:ql)?://(?:[^@/?#\s]+@)?((?:{_HOST}(?:,{_HOST})*)?)/[^/?#\s]+(?:\?[^?#\s]+)?",
    re.ASCII | re.IGNORECASE,
)


def check(url: str) -> None:
    """Raise ValueError, with a sentence that holds no part of *url*, unless it is well-formed."""
    match = _URL.fullmatch(url)
    ports = re.findall(r":([0-9]+)(?:,|$)", match[1]) if match else ["0"]
    try:
        _query(url)
    except ValueError:
        ports = ["0"]
    if not all(0 < int(port) < 65536 for port in ports):
        raise ValueError(
            "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with @, /, ? and # in the password written as %40, %2F, %3F and %23"
        )


def is_unverified(url: str, environ: Mapping[str, str]) -> bool:
    """Whether the well-formed *url* leads to another machine, and its certificate is not checked.

    `sslmode=verify-full` alone checks it, and its name with it. *environ*: the driver takes
    PGHOST and PGSSLMODE from it where the URL has none.
    """
    query = _query(url)
    # its file, which is not read here, may name any host; its mode comes before the environment's
    by_service = "service" in query
    mode = query.get("sslmode") or ("" if by_service else environ.get("PGSSLMODE", ""))
    if mode == "verify-full":
        return False
    hosts = urlsplit(url).netloc.rpartition("@")[2] or query.get("host", "")
    if not hosts:
        if by_service:
            return True
        hosts = environ.get("PGHOST", "")
    every = [*hosts.split(","), *query.get("hostaddr", "").split(",")]
    return not all(map(_is_here, filter(None, every)))


def _query(url: str) -> dict[str, str]:
    query = urlsplit(url).query
    if not query:
        return {}
    return {name: values[-1] for name, values in parse_qs(query, strict_parsing=True).items()}


def _is_here(host: str) -> bool:
    """Whether *host*, with a port or without, is a socket's folder, or on loopback by itself."""
    if host.startswith("/"):
        return True
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return name.lower() == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
