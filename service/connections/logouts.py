"""Logouts: a session that is not stored, or is stored no more, is ended at its server."""

import asyncio

import structlog

from service.crypto.keyring import UnknownKey
from service.crypto.vault import Unreadable, Vault
from service.domain.errors import ServiceError
from service.domain.model import Session
from service.domain.platform import CredentialPlatform
from service.domain.records import SessionEnvelope
from service.platforms.registry import Registry
from service.runtime.tasks import OwnedTasks

SECONDS = 5.0

log = structlog.get_logger()


class Logouts:
    """Ends sessions as best it can: a server that is away keeps nobody waiting.

    *only_at* is for a sandbox: the servers that there are. A session at any other was one of an
    earlier sandbox, and ended with that.
    """

    def __init__(
        self,
        registry: Registry,
        vault: Vault,
        tasks: OwnedTasks,
        only_at: frozenset[str] | None = None,
    ) -> None:
        self._registry = registry
        self._vault = vault
        self._tasks = tasks
        self._only_at = only_at

    def later(self, stored: SessionEnvelope) -> None:
        """End a session that is stored no more, some time soon."""
        self._tasks.leave(self.now(stored))

    async def now(self, stored: SessionEnvelope) -> None:
        """End a session that is stored no more."""
        try:
            session = self._vault.open_session(stored)
        except (UnknownKey, Unreadable) as error:
            log.error("session cannot be opened to end it", exception=type(error).__name__)
            return
        platform = self._registry.by_credentials(stored.context.platform)
        await self._end(platform, session, stored.context.origin)

    def unsaved(self, platform: CredentialPlatform, session: Session, origin: str) -> None:
        """End a session that could not be saved, some time soon."""
        self._tasks.leave(self._end(platform, session, origin))

    async def _end(self, platform: CredentialPlatform, session: Session, origin: str) -> None:
        if self._only_at is not None and origin not in self._only_at:
            return
        try:
            async with asyncio.timeout(SECONDS):
                await platform.log_out(session, origin)
        except (ServiceError, TimeoutError) as error:
            why = getattr(error, "why", "") or type(error).__name__
            log.warning("session not ended at the server", why=why)
