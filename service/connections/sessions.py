"""Sessions: one change at a time to a connection's session, across tasks and processes.

A change needs a claim on the connection in the store. Each claim has a number, the fence: the
store rejects the writes of every earlier claim. A refreshed session is saved before it is used; if
a crash comes between, the server still accepts the former refresh token for a while.
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
    MAX_CLAIM_SKEW,
    NewSession,
    Purpose,
    SecretAddress,
    SessionEnvelope,
    StoredConnection,
    VerdictWrite,
)
from service.domain.store import ConnectionStore
from service.platforms.registry import Registry
from service.runtime import pauses

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 0.4
"""Pause between two reads of a claim that another caller holds. It doubles after each read."""


class Overtaken(Exception):
    """The claim no longer holds: what was found under it must be discarded."""


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
        self._claim_timeout: Micros = int(timeouts.claim * SECOND)
        self._max_wait_seconds = timeouts.claim_wait

    def platform(self, stored: StoredConnection) -> CredentialPlatform:
        return self._registry.by_credentials(stored.address.platform)

    def open(self, stored: StoredConnection) -> Session:
        """Raises UnknownKey or Unreadable."""
        return self._vault.open_session(SessionEnvelope(stored.address, stored.session))

    def open_credential(self, stored: StoredConnection) -> str:
        """Return the stored `Login.secret`. Raises UnknownKey or Unreadable."""
        return self._vault.open(stored.credential, Purpose.CREDENTIAL, stored.address)

    @asynccontextmanager
    async def claimed(self, address: SecretAddress) -> AsyncIterator[StoredConnection]:
        """Hold a claim on the connection for the block. The block's last write releases the claim.

        If the block raises anything but Overtaken, the claim is released here. Waits while another
        task or process holds a claim. Raises ProfileNotFound or PlatformNotConnected. Raises
        Overtaken if a later connect replaced the connection, or if the wait times out.
        """
        deadline = monotonic() + self._max_wait_seconds
        while (held := await self._claim(address)) is None:
            await self._until_free(address, deadline)
        try:
            yield held
        except Overtaken:
            raise
        except BaseException:
            await self.release(held)
            raise

    async def release(self, held: StoredConnection, unsaved: NewSession | None = None) -> None:
        """Release the claim. With *unsaved*, save that session in the same transaction.

        With *unsaved*, raises Overtaken, and ServiceUnavailable if the save fails.
        """
        if unsaved is not None:
            await self.save(held, unsaved, release=True)
            return
        # a claim that cannot be released expires
        with suppress(ServiceUnavailable):
            await self._store.release_claim(held)

    async def _until_free(self, address: SecretAddress, deadline: float) -> None:
        """Wait until the claim looks free; only reads. Raises Overtaken after *deadline*."""
        for pause in pauses.doubling(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS):
            if monotonic() > deadline:
                raise Overtaken
            await asyncio.sleep(pause)
            until = await self._store.claimed_until(address)
            now = self._clock.now()
            # further ahead only if the clock was set back: `claim` takes it over
            if not now < until <= now + self._claim_timeout + MAX_CLAIM_SKEW:
                return

    async def _claim(self, address: SecretAddress) -> StoredConnection | None:
        now = self._clock.now()
        try:
            return await self._store.claim(address, now, now + self._claim_timeout)
        except PlatformNotConnected:
            # raises if the connection is gone; otherwise a later connect replaced it
            await self._store.connection(address.tenant_id, address.profile_key, address.platform)
            raise Overtaken from None

    def seal(self, held: StoredConnection, refreshed: Refreshed) -> NewSession:
        """Seal what a refresh returned, to be saved."""
        session, at = refreshed.session, self._clock.now()
        if refreshed.inactive_status:
            # expired: not leased until a check has found out the account's status
            session, at = replace(session, expires_at=0), held.refreshed_at
        return NewSession(self._vault.seal_session(session, held.address), session.expires_at, at)

    async def save(
        self, held: StoredConnection, unsaved: NewSession, *, release: bool = False
    ) -> None:
        """Save a refreshed session. Raises Overtaken and ServiceUnavailable.

        If the save fails, the session stays open: the former refresh token returns it once more.
        """
        if not await self._store.save_session(held, unsaved, release=release):
            await self._discard(held, unsaved)
            raise Overtaken

    async def save_verdict(self, held: StoredConnection, verdict: VerdictWrite) -> None:
        """Write a verdict with its events and its session, and release the claim.

        Raises as `save` does.
        """
        if not await self._store.save_verdict(held, verdict):
            if verdict.session is not None:
                await self._discard(held, verdict.session)
            raise Overtaken

    async def adopt(self, held: StoredConnection, login: Login) -> StoredConnection:
        """Save the session of a new login, or end it. Raises Overtaken."""
        new = self.seal(held, Refreshed(login.session))
        try:
            is_saved = await self._store.save_session(held, new)
        except BaseException:
            self._end(held, login.session)
            raise
        if not is_saved:
            self._end(held, login.session)
            raise Overtaken
        return held._replace(session=new.sealed, refreshed_at=new.at)

    async def change_origin(self, held: StoredConnection, origin: str) -> StoredConnection:
        """Save a new origin that may receive the credential, and seal both secrets for it.

        Raises Overtaken, and Unreadable or UnknownKey if the credential does not open.
        """
        address = held.address._replace(origin=origin)
        credential = self._vault.seal(self.open_credential(held), Purpose.CREDENTIAL, address)
        try:
            session = self._vault.seal_session(self.open(held), address)
        except Unreadable:
            session = held.session  # does not open; a login will replace it
        if not await self._store.save_origin(held, origin, credential, session):
            raise Overtaken
        return held._replace(address=address, credential=credential, session=session)

    async def _discard(self, held: StoredConnection, unsaved: NewSession) -> None:
        """End an unsaved session if its connection was disconnected, or connected again.

        Otherwise only the claim was lost, and the session stays open.
        """
        address = held.address
        try:
            now = await self._store.connection(
                address.tenant_id, address.profile_key, address.platform
            )
            is_gone = now.address.generation != address.generation
        except (ProfileNotFound, PlatformNotConnected):
            is_gone = True
        if is_gone:
            self._logouts.later(SessionEnvelope(address, unsaved.sealed))

    def _end(self, held: StoredConnection, session: Session) -> None:
        self._logouts.unsaved(self.platform(held), session, account_of(held))


def account_of(stored: StoredConnection) -> Account:
    """Return the account of a connection, at the server that is stored for it."""
    return Account(stored.address.account_id, stored.connection.username, stored.address.origin)
