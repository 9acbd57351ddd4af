"""Readiness: health checks hear of it while the store is away, and once it is back."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from service.domain.errors import ServiceUnavailable
from service.domain.store import Store

EVERY_SECONDS = 1.0
ANSWER_SECONDS = 3.0

log = structlog.get_logger()


class Server(Protocol):
    """What answers health checks."""

    async def tell_to_go_elsewhere(self) -> None: ...

    async def tell_to_come(self) -> None: ...


class Readiness:
    """Asks the store again and again, and has the servers tell what came of it."""

    def __init__(self, store: Store, servers: Iterable[Server]) -> None:
        self._store = store
        self._servers = tuple(servers)

    async def run(self) -> None:
        """Keep the servers' word true, until cancelled."""
        there = True
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            why = await self._away()
            if there and why:
                log.warning("store is away", why=why)
                for server in self._servers:
                    await server.tell_to_go_elsewhere()
            elif not there and not why:
                log.warning("store is back")
                for server in self._servers:
                    await server.tell_to_come()
            there = not why

    async def _away(self) -> str:
        """Why the store does not answer, empty if it does."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._store.remembered("mode")
        except ServiceUnavailable as error:
            return error.why
        except Exception as error:  # whatever it is, nobody gets an answer
            return type(error).__name__
        return ""
