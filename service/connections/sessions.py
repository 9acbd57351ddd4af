"""Sessions: one refresh at a time for a connection, across tasks and processes.

Whoever means to change a connection's session holds a claim on it in the store, with a number
that fences off whoever held an earlier one. What was refreshed is stored before it is used: a
crash in between is made good by the server, which honours the old token a while longer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from time import monotonic

from service.connections.logouts import Logouts
from service.connections.timeouts import Timeouts
from service.crypto.vault import Unreadable, Vault
from service.domain.clock import Clock
from service.domain.errors import PlatformNotConnected, ProfileNotFound, ServiceUnavailable
from service.domain.model import SECOND, Account, Login, Micros, Refreshed, Session
from service.domain.platform import CredentialPlatform
from service.domain.records import (
    NewSession,
    Purpose,
    SecretAddress,
    SessionEnvelope,
    StoredConnection,
)
from service.domain.steps import PlatformTime, platform_time
from service.domain.store import ConnectionStore
from service.platforms.registry import Registry

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 0.4
"""Between two looks at a claim that is held: the pause doubles each time."""


class Overtaken(Exception):
    """A claim that no longer holds: what was found under it is thrown away."""


class Sessions:
    """Opens, refreshes and replaces the sessions of connections."""

    def __init__(
        self,
        store: ConnectionStore,
        registry: Registry,
        vault: Vault,
        logouts: Logouts,
        clock: Clock,
        timeouts: Timeouts,
    ) -> None:
        self._store = store
        self._registry = registry
        self._vault = vault
        self._logouts = logouts
        self._clock = clock
        self._claim_lasts: Micros = int(timeouts.claim * SECOND)
        self._max_wait = timeouts.claim_wait

    def platform(self, stored: StoredConnection) -> CredentialPlatform:
        return self._registry.by_credentials(stored.context.platform)

    def open(self, stored: StoredConnection) -> Session:
        """Raises UnknownKey or Unreadable."""
        return self._vault.open_session(SessionEnvelope(stored.context, stored.session))

    def open_credential(self, stored: StoredConnection) -> str:
        """`Login.secret` as it was stored. Raises UnknownKey or Unreadable."""
        return self._vault.open(stored.credential, Purpose.CREDENTIAL, stored.context)

    @asynccontextmanager
    async def claimed(self, context: SecretAddress) -> AsyncIterator[StoredConnection]:
        """The connection, held by us alone until the end of the block.

        Waits while somebody else holds it. Raises ProfileNotFound or PlatformNotConnected, and
        Overtaken where it has been connected anew, or where others hold it for long.
        """
        give_up_at = monotonic() + self._max_wait
        while (held := await self._claim(context)) is None:
            await self._until_free(context, give_up_at)
        try:
            yield held
        finally:
            # what came of it counts; a claim that cannot be given up runs out by itself
            with suppress(ServiceUnavailable):
                await self._store.give_up_claim(held)

    async def _until_free(self, context: SecretAddress, give_up_at: float) -> None:
        """Wait, by reads, until the claim on the connection looks free. Raises Overtaken."""
        pause = MIN_PAUSE_SECONDS
        while True:
            if monotonic() > give_up_at:
                raise Overtaken
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            until = await self._store.claimed_until(context)
            now = self._clock.now()
            # a claim of a clock that has been put back since is for the claim itself to judge
            if not now < until <= now + self._claim_lasts:
                return

    async def _claim(self, context: SecretAddress) -> StoredConnection | None:
        now = self._clock.now()
        try:
            return await self._store.claim(context, now, now + self._claim_lasts)
        except PlatformNotConnected:
            # to whoever asks, one that was connected anew meanwhile has been connected all along
            await self._store.connection(context.tenant_id, context.profile_key, context.platform)
            raise Overtaken from None

    async def refresh(
        self, held: StoredConnection, until: float
    ) -> tuple[StoredConnection, Refreshed]:
        """The connection with its next session, which is stored by then.

        The platform has *until* (event-loop time) to answer. Raises SessionEnded, Overtaken,
        Unreadable, UnknownKey, and as the platform does.
        """
        async with platform_time(PlatformTime(until)):
            refreshed = await self.platform(held).refresh(self.open(held), account_of(held))
        session, at = refreshed.session, self._clock.now()
        if refreshed.inactive_status:
            # nothing to lend, until a verdict says what to make of it
            session, at = replace(session, expires_at=0), held.refreshed_at
        # if it cannot be stored it is left alone: the server gives the same to the old one again
        following = await self._replaced(held, session, at)
        if following is None:
            if await self._is_gone(held.context):
                self._end(held, refreshed.session)
            raise Overtaken
        return following, refreshed

    async def adopt(self, held: StoredConnection, login: Login) -> StoredConnection:
        """The connection with the session of a new login, which is stored by then, or is ended.

        Raises Overtaken.
        """
        try:
            following = await self._replaced(held, login.session, self._clock.now())
        except BaseException:
            self._end(held, login.session)
            raise
        if following is None:
            self._end(held, login.session)
            raise Overtaken
        return following

    async def move(self, held: StoredConnection, origin: str) -> StoredConnection:
        """The connection with another origin of the same house; raises Overtaken.

        Raises Unreadable or UnknownKey, too: its credential is sealed anew for that origin, and so
        is its session, where that opens.
        """
        context = held.context._replace(origin=origin)
        credential = self._vault.seal(self.open_credential(held), Purpose.CREDENTIAL, context)
        try:
            session = self._vault.seal_session(self.open(held), context)
        except Unreadable:
            session = held.session  # opens nowhere; the credential makes another
        if not await self._store.save_home(held, origin, credential, session):
            raise Overtaken
        return held._replace(context=context, credential=credential, session=session)

    async def _replaced(
        self, held: StoredConnection, session: Session, at: Micros
    ) -> StoredConnection | None:
        sealed = self._vault.seal_session(session, held.context)
        saved = NewSession(sealed, session.expires_at, at)
        if not await self._store.save_session(held, saved):
            return None
        return held._replace(session=sealed, refreshed_at=at)

    async def _is_gone(self, context: SecretAddress) -> bool:
        """Whether the connection was ended, or made anew, since it was claimed."""
        try:
            now = await self._store.connection(
                context.tenant_id, context.profile_key, context.platform
            )
        except (ProfileNotFound, PlatformNotConnected):
            return True
        return now.context.generation != context.generation

    def _end(self, held: StoredConnection, session: Session) -> None:
        self._logouts.unsaved(self.platform(held), session, held.context.origin)


def account_of(stored: StoredConnection) -> Account:
    """The account of a connection, at the server where it was proved."""
    return Account(stored.context.account_id, stored.connection.username, stored.context.origin)
