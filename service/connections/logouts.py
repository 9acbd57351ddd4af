"""Logouts: end sessions that are not stored, or no longer stored, at their servers."""

import structlog

from service.crypto.keyring import UnknownKey
from service.crypto.vault import Unreadable, Vault
from service.domain.logout import end_session
from service.domain.model import Account, Session
from service.domain.platform import CredentialPlatform
from service.domain.records import SessionEnvelope
from service.platforms.registry import Registry
from service.runtime.tasks import OwnedTasks

log = structlog.get_logger()


class Logouts:
    """Ends sessions, best effort, in the background unless said otherwise.

    *only_at*, for a sandbox, names its servers. A session at any other server belonged to an
    earlier sandbox and ended with it.
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

    def unsaved(self, platform: CredentialPlatform, session: Session, account: Account) -> None:
        """End a session that could not be saved."""
        self._tasks.spawn(self._end(platform, session, account))

    def later(self, stored: SessionEnvelope) -> None:
        """End a session that is no longer stored."""
        self._tasks.spawn(self.now(stored))

    async def now(self, stored: SessionEnvelope) -> None:
        """End a session that is no longer stored, and wait for it."""
        try:
            session = self._vault.open_session(stored)
        except (UnknownKey, Unreadable) as error:
            log.error("session cannot be opened to end it", exception=type(error).__name__)
            return
        address = stored.address
        platform = self._registry.by_credentials(address.platform)
        await self._end(platform, session, Account(address.account_id, "", address.origin))

    async def _end(self, platform: CredentialPlatform, session: Session, account: Account) -> None:
        if self._only_at is None or account.origin in self._only_at:
            await end_session(platform, session, account)
