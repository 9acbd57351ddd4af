"""Leases: lend a connection's access token to the services that post; never the password.

The stored token is read with its connection from the store each time, and opened: a disconnect, a
verdict or another process's refresh holds from that moment on. A copy in memory would save one
decryption, a few microseconds.
"""

from dataclasses import dataclass, field
from math import inf

from service.connections.health import Health
from service.connections.lease_audit import Audit
from service.connections.sessions import Sessions, account_of
from service.crypto.vault import Unreadable
from service.domain.clock import Clock
from service.domain.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NeedsReconnect,
    PlatformRateLimited,
    PlatformUnavailable,
    RateLimitExceeded,
    ServiceError,
    ServiceUnavailable,
)
from service.domain.model import SECOND, Caller, Lease, Micros, PlatformUnavailableCause, Session
from service.domain.names import required_platform_id, required_profile_key
from service.domain.records import AuditedLease, StoredConnection
from service.domain.steps import PlatformTime, platform_time
from service.domain.store import ConnectionStore

ENOUGH: Micros = 10 * 60 * SECOND
"""What a lent token has left, where that is up to us."""
LEAST: Micros = 60 * SECOND
"""What it has left at the least, while it cannot be renewed."""
REFRESHED_FOR: Micros = 60 * SECOND
"""How long a renewed session is not renewed again, whoever refuses its token."""
LONGEST_TOKEN = 8192
IN_THE_WAY = (
    DeadlineExceeded,  # the caller's own
    PlatformUnavailable,
    PlatformRateLimited,
    RateLimitExceeded,
    ServiceUnavailable,  # for writers, at least
)
"""What keeps a session from being renewed, and not its token from being lent while it is good."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Whose session is wanted, and the token of an earlier lease that was refused since."""

    profile_key: str
    platform: str
    rejected_access_token: str = field(repr=False)


class Leases:
    """Lends sessions. Ten thousand leases cost one login."""

    def __init__(
        self, store: ConnectionStore, sessions: Sessions, health: Health, audit: Audit, clock: Clock
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._health = health
        self._audit = audit
        self._clock = clock

    async def lease(self, caller: Caller, request: LeaseRequest) -> Lease:
        """An access token that is good for ten minutes, as a rule.

        Raises InvalidRequest, ProfileNotFound, PlatformNotConnected, NeedsReconnect, and as
        `Health.renew` does, where nothing of the stored token is left to lend.
        """
        if len(request.rejected_access_token) > LONGEST_TOKEN:
            raise InvalidRequest(
                "rejected_access_token", f"is longer than {LONGEST_TOKEN} characters"
            )
        stored = await self._usable(caller, request)
        session = self._open(stored)
        if session is None or self._is_due(stored, session, request):
            stored, session = await self._renewed(caller, request, stored)
        account = account_of(stored)
        self._audit.note(
            AuditedLease(
                self._clock.now(),
                caller.tenant_id,
                caller.key_id,
                stored.context.profile_key,
                stored.context.platform,
                account.account_id,
                session.expires_at,
            )
        )
        return Lease(session.access_token, account, session.expires_at)

    async def _usable(self, caller: Caller, request: LeaseRequest) -> StoredConnection:
        stored = await self._store.connection(
            caller.tenant_id,
            required_profile_key(request.profile_key),
            required_platform_id(request.platform),
        )
        if stored.connection.reconnect_reason is not None:
            raise NeedsReconnect(stored.context.platform, stored.connection.reconnect_reason)
        return stored

    def _open(self, stored: StoredConnection) -> Session | None:
        try:
            return self._sessions.open(stored)
        except Unreadable:
            return None  # the credential may; a check will tell

    def _is_due(self, stored: StoredConnection, session: Session, request: LeaseRequest) -> bool:
        now = self._clock.now()
        left = session.expires_at - now
        if left > 0 and 0 <= now - stored.refreshed_at < REFRESHED_FOR:
            return False
        return left < ENOUGH or session.access_token == request.rejected_access_token

    async def _renewed(
        self, caller: Caller, request: LeaseRequest, stored: StoredConnection
    ) -> tuple[StoredConnection, Session]:
        failed: ServiceError | None = None
        try:
            async with platform_time(PlatformTime.of(caller, inf)):
                await self._health.renew(stored)
        except IN_THE_WAY as error:
            failed = error
        # as it is by now: it may have been ended meanwhile, or renewed by another process
        stored = await self._usable(caller, request)
        session = self._open(stored)
        if failed is not None and not self._is_left(session, request):
            raise failed
        if session is None:
            raise PlatformUnavailable(PlatformUnavailableCause.BUSY, "unreadable")
        return stored, session

    def _is_left(self, session: Session | None, request: LeaseRequest) -> bool:
        """Whether there is something to lend, for want of better."""
        if session is None or session.access_token == request.rejected_access_token:
            return False
        return session.expires_at - self._clock.now() >= LEAST
