"""Health: checks connections, saves the verdicts, and renews sessions.

A connection has one check at a time, across tasks and processes; callers who ask meanwhile share
it. A check goes to its end even if its callers have left.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import structlog

from service.connections.backoff import Backoff
from service.connections.check_results import CheckResult, doubt_of
from service.connections.checks import Check
from service.connections.concurrency import ConcurrencyLimit
from service.connections.logins import Logins
from service.connections.lookup_limits import LookupLimits
from service.connections.platform_calls import PlatformCalls
from service.connections.schedule import Schedule
from service.connections.sessions import Overtaken, Sessions
from service.connections.timeouts import Timeouts
from service.connections.verdict import apply_result
from service.domain.clock import Clock
from service.domain.errors import (
    NeedsReconnect,
    PlatformRateLimited,
    PlatformUnavailable,
    RateLimitExceeded,
)
from service.domain.model import (
    SECOND,
    Caller,
    Connection,
    Micros,
    PlatformUnavailableCause,
    Session,
)
from service.domain.records import ConnectionKey, StoredConnection
from service.domain.store import ConnectionStore
from service.runtime.metrics import Metrics
from service.runtime.tasks import OwnedTasks

T = TypeVar("T")
SHARED_FOR: Micros = 2 * SECOND
"""How long after its end a check answers further calls."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Checked:
    """A connection after a check; *is_unavailable*: the platform was unavailable."""

    connection: Connection
    is_unavailable: bool = False


class LeaseCost(StrEnum):
    """What a leased token cost: nothing (it was stored), a refresh, or a login."""

    STORED = "stored"
    REFRESHED = "refreshed"
    LOGIN = "login"


class Renewed(NamedTuple):
    """A connection after a renewal, its session, and what that cost."""

    stored: StoredConnection
    session: Session
    cost: LeaseCost


class Health:
    """Gives verdicts on connections; only proof changes whether one needs reconnecting."""

    def __init__(
        self,
        store: ConnectionStore,
        sessions: Sessions,
        logins: Logins,
        concurrency: ConcurrencyLimit,
        schedule: Schedule,
        clock: Clock,
        tasks: OwnedTasks,
        lookups: LookupLimits,
        timeouts: Timeouts,
        calls: PlatformCalls,
        metrics: Metrics,
    ) -> None:
        self._calls = calls
        self._metrics = metrics
        self._store = store
        self._sessions = sessions
        self._logins = logins
        self._concurrency = concurrency
        self._schedule = schedule
        self._clock = clock
        self._tasks = tasks
        self._lookups = lookups
        self.timeouts = timeouts
        self._checks: dict[ConnectionKey, asyncio.Task[Checked]] = {}
        self._renewals: dict[ConnectionKey, asyncio.Task[Renewed]] = {}
        self._backoff = Backoff()

    async def verify(self, caller: Caller, profile_key: str, platform: str) -> Connection:
        """Check the connection now, or share a check in progress or at most SHARED_FOR old.

        A check in progress may have asked the platform before this call. Raises ProfileNotFound,
        PlatformNotConnected, and RateLimitExceeded over the tenant's concurrency or rate limit.
        """
        stored = await self._store.connection(caller.tenant_id, profile_key, platform)
        checked_at = stored.upkeep.checked_at
        if checked_at is not None and 0 <= self._clock.now() - checked_at < SHARED_FOR:
            return stored.connection
        check = self._within_concurrency(self._check_within_rate)
        return (await self._share(self._checks, stored, check)).connection

    async def check(self, stored: StoredConnection) -> Checked:
        """Check the connection for the monitor. Raises as `verify` does, and UnknownKey."""
        return await self._share(self._checks, stored, self._check)

    async def renew(self, stored: StoredConnection) -> Renewed:
        """Replace the session in *stored*: refresh it, or log in once if it cannot be refreshed.

        If another caller or process replaced it already, return that session. Raises NeedsReconnect
        if the connection proves to be of no use, RateLimitExceeded if no login may be spent,
        AccountInactive, and the platform's errors.
        """
        self._backoff.check(stored)
        return await self._share(self._renewals, stored, self._within_concurrency(self._renew))

    def _within_concurrency(
        self, work: Callable[[StoredConnection], Coroutine[Any, Any, T]]
    ) -> Callable[[StoredConnection], Coroutine[Any, Any, T]]:
        """Return *work* within its tenant's concurrency limit. The monitor has a limit of its own,
        and takes nothing of the tenant's."""

        async def limited(stored: StoredConnection) -> T:
            address = stored.address
            with (
                self._concurrency.slot(address.tenant_id),
                self._concurrency.slot_at(address.tenant_id, address.origin),
            ):
                return await work(stored)

        return limited

    async def _check_within_rate(self, stored: StoredConnection) -> Checked:
        """Check the connection for a caller. The monitor has a rate of its own."""
        self._lookups.take(stored.address.tenant_id, stored.address.origin)
        return await self._check(stored)

    async def _check(self, stored: StoredConnection) -> Checked:
        address = stored.address
        try:
            async with self._sessions.claimed(address) as held:
                if held.upkeep.checked_at != stored.upkeep.checked_at:
                    # another process has checked it meanwhile
                    await self._sessions.release(held)
                    return Checked(held.connection)
                check = self._new_check(held)
                if limit := self._backoff.limit(held):
                    result = doubt_of(limit)
                else:
                    result = await check.run()
                    if isinstance(result.error, PlatformRateLimited):
                        self._backoff.note(held, check.held, result.error)
                is_unavailable = isinstance(result.error, PlatformUnavailable)
                return Checked(await self._save(check, result), is_unavailable)
        except Overtaken:
            log.info("verdict discarded", tenant=address.tenant_id, profile=address.profile_key)
        now = await self._store.connection(address.tenant_id, address.profile_key, address.platform)
        return Checked(now.connection)

    async def _renew(self, stored: StoredConnection) -> Renewed:
        renewed, cost = stored, LeaseCost.STORED
        try:
            async with self._sessions.claimed(stored.address) as held:
                needs_reconnect = held.connection.reconnect_reason is not None
                # a new envelope alone may be a rewrap
                if needs_reconnect or held.refreshed_at != stored.refreshed_at:
                    await self._sessions.release(held)
                    session = None if needs_reconnect else self._sessions.open(held)
                    result, found = None, held
                else:
                    check = self._new_check(held)
                    result = await check.renew()
                    if result is None:
                        await self._sessions.release(check.held, check.unsaved)
                        found = check.held
                    else:
                        connection = await self._save(check, result)
                        found = check.held._replace(connection=connection)
                    session = check.session
                    cost = LeaseCost.REFRESHED if check.is_refreshed else LeaseCost.LOGIN
            if found.connection.reconnect_reason is not None:
                raise NeedsReconnect(found.address.platform, found.connection.reconnect_reason)
            if session is None:
                assert result is not None, "a renewal without a result has a session"
                raise result.as_error()
            renewed = found
            if session.expires_at <= self._clock.now():
                raise PlatformUnavailable(
                    PlatformUnavailableCause.UNEXPECTED_ANSWER, "expired_token"
                )
        except (PlatformUnavailable, PlatformRateLimited, RateLimitExceeded) as error:
            self._backoff.note(stored, renewed, error)
            raise
        except Overtaken:
            raise PlatformUnavailable(
                PlatformUnavailableCause.BUSY, "overtaken", retry_after=1
            ) from None
        self._backoff.clear(renewed)
        return Renewed(renewed, session, cost)

    def _new_check(self, held: StoredConnection) -> Check:
        return Check(
            held, self._sessions, self._logins, self._clock, self._calls, self.timeouts.check
        )

    async def _save(self, check: Check, result: CheckResult) -> Connection:
        """Save the verdict, and release the claim. Raises Overtaken."""
        held = check.held
        verdict = apply_result(check, result, self._schedule, self._clock.now())
        await self._sessions.save_verdict(held, verdict)
        state, reason = verdict.connection.state.value, verdict.connection.reconnect_reason or ""
        self._metrics.verdicts.labels(held.address.platform, state, str(reason)).inc()
        log.info(
            "verdict",
            tenant=held.address.tenant_id,
            profile=held.address.profile_key,
            platform=held.address.platform,
            state=verdict.connection.state.value,
            reason=verdict.connection.reconnect_reason,
            doubt=result.doubt or None,
        )
        return verdict.connection

    async def _share(
        self,
        in_progress: dict[ConnectionKey, asyncio.Task[T]],
        stored: StoredConnection,
        work: Callable[[StoredConnection], Coroutine[Any, Any, T]],
    ) -> T:
        key = stored.address.key
        task = in_progress.get(key)
        if task is None:
            task = in_progress[key] = self._tasks.start(work(stored))
            task.add_done_callback(lambda _: in_progress.pop(key))
        return await asyncio.shield(task)
