"""Readiness: health checks report the service as not serving while the store is unavailable."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from service.crypto.keyring import Keyring
from service.domain.errors import ServiceUnavailable
from service.domain.store import FactStore

INTERVAL_SECONDS = 1.0
STORE_TIMEOUT_SECONDS = 3.0
MAX_TIMEOUTS = 2
"""One time-out proves nothing: a busy machine can pause this process for as long."""

log = structlog.get_logger()


def checks(readiness: "Readiness", keyring: Keyring) -> dict[str, Callable[[], str]]:
    """Return, by dependency, what says why it does not work: a word, empty if it works."""
    return {
        "store": lambda: "unavailable" if readiness.fault else "",
        "keyring": lambda: "" if keyring.is_readable else "unreadable",
    }


class Server(Protocol):
    """Answers health checks."""

    def set_serving(self, serving: bool) -> None: ...


class Readiness:
    """Probes the store periodically and sets the health status of the servers."""

    def __init__(self, facts: FactStore, servers: Iterable[Server]) -> None:
        self._facts = facts
        self._servers = tuple(servers)
        self.fault = ""
        """Why the store does not answer; empty if it does."""

    async def run(self) -> None:
        """Update the servers whenever the store's availability changes, until cancelled."""
        was_available = True
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            why = self.fault = await self._probe()
            is_available = not why
            if is_available == was_available:
                continue
            if is_available:
                log.warning("store is available again")
            else:
                log.warning("store is unavailable", why=why)
            for server in self._servers:
                server.set_serving(is_available)
            was_available = is_available

    async def _probe(self) -> str:
        """Return why the store does not answer; empty if it does."""
        for _ in range(MAX_TIMEOUTS):
            try:
                async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                    await self._facts.get("mode")
            except TimeoutError:
                continue
            except ServiceUnavailable as error:
                return error.why
            except Exception as error:  # any failure means that no call can be answered
                return type(error).__name__
            return ""
        return "TimeoutError"
