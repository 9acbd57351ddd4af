"""Leases: lend a connection's access token to the services that post; never the password.

Each lease reads the stored token from the store and opens it, so that a disconnect, a verdict or
another process's refresh takes effect at once. A copy in memory would save one decryption, a few
microseconds.
"""

from dataclasses import dataclass, field
from math import inf

from service.access.audit import AuditTrail
from service.connections.health import Health, LeaseCost
from service.connections.sessions import Sessions, account_of
from service.crypto.vault import Unreadable
from service.domain import audit
from service.domain.audit import AuditedCall
from service.domain.clock import Clock
from service.domain.errors import (
    DeadlineExceeded,
    InsufficientScope,
    InvalidRequest,
    NeedsReconnect,
    PlatformRateLimited,
    PlatformUnavailable,
    RateLimitExceeded,
    ServiceUnavailable,
)
from service.domain.model import SECOND, Caller, Lease, Lent, Micros, Scope, Session
from service.domain.names import required_platform_id, required_profile_key
from service.domain.platform import TokenSigner
from service.domain.records import StoredConnection
from service.domain.steps import PlatformDeadline, platform_timeout
from service.domain.store import ConnectionStore
from service.runtime.log import Frequent
from service.runtime.metrics import Metrics

MIN_LEFT_UNRENEWED: Micros = 60 * SECOND
"""A token that cannot be renewed is lent with at least as much time left."""
MIN_BETWEEN_REFRESHES: Micros = 60 * SECOND
"""A rejected token does not have its session renewed again sooner."""
MAX_TOKEN_CHARACTERS = 8192
TOLERATED = (
    DeadlineExceeded,  # the caller's own
    PlatformUnavailable,
    PlatformRateLimited,
    RateLimitExceeded,
    ServiceUnavailable,  # at least for writes
)
"""Errors of a renewal after which the stored token is lent while it is good."""


lease_log = Frequent()


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """*rejected_access_token*: the token of an earlier lease that its server rejected, if any."""

    profile_key: str
    platform: str
    rejected_access_token: str = field(repr=False)


class Leases:
    """Lends sessions. Ten thousand leases cost one login."""

    def __init__(
        self,
        store: ConnectionStore,
        sessions: Sessions,
        health: Health,
        audit: AuditTrail,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._sessions = sessions
        self._health = health
        self._audit = audit
        self._clock = clock

    async def lease(self, caller: Caller, request: LeaseRequest) -> Lease:
        """Return an access token that is usually good for ten minutes or more.

        Raises InvalidRequest, ProfileNotFound, PlatformNotConnected, NeedsReconnect, and as
        `Health.renew` does if the stored token is not good either.
        """
        if len(request.rejected_access_token) > MAX_TOKEN_CHARACTERS:
            raise InvalidRequest(
                "rejected_access_token", f"is longer than {MAX_TOKEN_CHARACTERS} characters"
            )
        stored, session = await self._stored(caller, request)
        platform = self._sessions.platform(stored)
        is_permitted = Scope.CREDENTIALS_LEASE in caller.scopes
        if platform.card.lends is Lent.CREDENTIAL and not is_permitted:
            raise InsufficientScope(Scope.CREDENTIALS_LEASE)
        cost = LeaseCost.STORED
        if session is None or self._is_due(stored, session, request):
            try:
                async with platform_timeout(PlatformDeadline.of(caller, inf)):
                    stored, session, cost = await self._health.renew(stored)
            except TOLERATED as error:
                # the connection may have ended meanwhile, or another process renewed it
                stored, session = await self._stored(caller, request)
                if session is None or not self._is_good(stored, session, request):
                    raise error from None
        lease = platform.lend(session, account_of(stored))
        self._metrics.leases.labels(stored.address.platform, cost.value).inc()
        self._record(caller, stored, lease, platform.card.lends)
        return lease

    def _record(self, caller: Caller, stored: StoredConnection, lease: Lease, lent: Lent) -> None:
        """Note the lease in the audit trail and in the log. Raises ServiceUnavailable."""
        address, account_id = stored.address, lease.account.account_id
        call = audit.current() or AuditedCall("LeaseSession", "")
        self._audit.note(
            call.row(
                self._clock.now(),
                tenant_id=caller.tenant_id,
                key_id=caller.key_id,
                profile_key=address.profile_key,
                platform=address.platform,
                account_id=account_id,
                lent=lent,
                expires_at=lease.expires_at or 0,
            )
        )
        call.is_recorded = True
        lease_log.info(
            "lease",
            tenant=caller.tenant_id,
            key=caller.key_id,
            profile=address.profile_key,
            platform=address.platform,
            account=account_id,
            expires_at=lease.expires_at,
            lent=lent.value,
        )

    async def _stored(
        self, caller: Caller, request: LeaseRequest
    ) -> tuple[StoredConnection, Session | None]:
        """Return the connection with its session, None if that does not open."""
        stored = await self._store.connection(
            caller.tenant_id,
            required_profile_key(request.profile_key),
            required_platform_id(request.platform),
        )
        if stored.connection.reconnect_reason is not None:
            raise NeedsReconnect(stored.address.platform, stored.connection.reconnect_reason)
        try:
            return stored, self._sessions.open(stored)
        except Unreadable:
            return stored, None  # the credential may open

    def _is_due(self, stored: StoredConnection, session: Session, request: LeaseRequest) -> bool:
        now = self._clock.now()
        left = session.expires_at - now
        if left > 0 and 0 <= now - stored.refreshed_at < MIN_BETWEEN_REFRESHES:
            return False
        min_left = self._sessions.platform(stored).card.min_lease_left
        return left < min_left or self._is_rejected(stored, session, request)

    def _is_rejected(
        self, stored: StoredConnection, session: Session, request: LeaseRequest
    ) -> bool:
        """Return whether the token that was rejected is of *session*."""
        if not request.rejected_access_token:
            return False
        platform = self._sessions.platform(stored)
        if isinstance(platform, TokenSigner):
            return platform.was_lent(session, request.rejected_access_token)
        return session.access_token == request.rejected_access_token

    def _is_good(self, stored: StoredConnection, session: Session, request: LeaseRequest) -> bool:
        """Return whether a token that could not be renewed may be lent."""
        if self._is_rejected(stored, session, request):
            return False
        return session.expires_at - self._clock.now() >= MIN_LEFT_UNRENEWED
