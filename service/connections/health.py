"""Health: checks connections, writes down what was found, and keeps their sessions usable.

One check of a connection at a time, across tasks and processes; what asks meanwhile shares it.
Checks belong to the service: they go to their end although whoever asked is gone.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from service.connections.backoff import Backoff
from service.connections.checks import Examination, Finding, doubt_of
from service.connections.concurrency import ConcurrencyLimit
from service.connections.logins import Logins
from service.connections.lookup_limits import LookupLimits
from service.connections.schedule import Schedule
from service.connections.sessions import Overtaken, Sessions
from service.connections.timeouts import Timeouts
from service.domain.clock import Clock
from service.domain.errors import (
    NeedsReconnect,
    PlatformRateLimited,
    PlatformUnavailable,
    RateLimitExceeded,
    ServiceError,
)
from service.domain.model import (
    SECOND,
    Caller,
    Connection,
    ConnectionState,
    EventKind,
    Micros,
    PlatformUnavailableCause,
    PlatformUnavailableStep,
    Session,
)
from service.domain.records import ConnectionKey, StoredConnection, VerdictWrite
from service.domain.store import ConnectionStore
from service.runtime.tasks import OwnedTasks

T = TypeVar("T")
SHARED_FOR: Micros = 2 * SECOND
"""How long a check answers further calls after its end."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Checked:
    """A connection as a check left it, and whether its platform was away meanwhile."""

    connection: Connection
    away: bool = False


class Health:
    """Gives verdicts on connections; only proof changes whether one needs reconnecting."""

    def __init__(
        self,
        store: ConnectionStore,
        sessions: Sessions,
        logins: Logins,
        shares: ConcurrencyLimit,
        schedule: Schedule,
        clock: Clock,
        tasks: OwnedTasks,
        rate: LookupLimits,
        timeouts: Timeouts,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._logins = logins
        self._shares = shares
        self._schedule = schedule
        self._clock = clock
        self._tasks = tasks
        self._rate = rate
        self.timeouts = timeouts
        self._checks: dict[ConnectionKey, asyncio.Task[Checked]] = {}
        self._renewals: dict[ConnectionKey, asyncio.Task[None]] = {}
        self._failures = Backoff()

    async def verify(self, caller: Caller, profile_key: str, platform: str) -> Connection:
        """Check the connection now, or share a check that is under way or ended less than
        SHARED_FOR ago.

        A check under way may have asked the platform before this call came. Raises ProfileNotFound,
        PlatformNotConnected, and RateLimitExceeded beyond the tenant's share or rate.
        """
        stored = await self._store.connection(caller.tenant_id, profile_key, platform)
        checked_at = stored.upkeep.checked_at
        if checked_at is not None and 0 <= self._clock.now() - checked_at < SHARED_FOR:
            return stored.connection
        check = self._asked(self._check_within_rate)
        return (await self._share(self._checks, stored, check)).connection

    async def check(self, stored: StoredConnection) -> Checked:
        """Check the connection for the monitor. Raises as `verify` does, and UnknownKey."""
        return await self._share(self._checks, stored, self._check)

    async def renew(self, stored: StoredConnection) -> None:
        """Put another session in the place of the one in *stored*, by one refresh or, where that
        is impossible, one login; nothing is done where somebody else has replaced it.

        Raises NeedsReconnect where the connection is found to be of no use, RateLimitExceeded
        where no login may be made, AccountInactive, and as the platform does.
        """
        self._failures.check(stored)
        await self._share(self._renewals, stored, self._asked(self._renew))

    def _asked(
        self, work: Callable[[StoredConnection], Coroutine[Any, Any, T]]
    ) -> Callable[[StoredConnection], Coroutine[Any, Any, T]]:
        """*work* as a caller's, within its tenant's share. The monitor has a bound of its own, and
        takes nothing of it."""

        async def within_share(stored: StoredConnection) -> T:
            context = stored.context
            with (
                self._shares.taken(context.tenant_id),
                self._shares.taken_at(context.tenant_id, context.origin),
            ):
                return await work(stored)

        return within_share

    async def _check_within_rate(self, stored: StoredConnection) -> Checked:
        """`_check` for a caller. The monitor has a rate of its own."""
        self._rate.take(stored.context.tenant_id, stored.context.origin)
        return await self._check(stored)

    async def _check(self, stored: StoredConnection) -> Checked:
        context = stored.context
        try:
            async with self._sessions.claimed(context) as held:
                if held.upkeep.checked_at != stored.upkeep.checked_at:
                    return Checked(held.connection)  # somebody else has checked it meanwhile
                examination = self._examination(held)
                if limit := self._failures.limit(held):
                    finding = doubt_of(limit)
                else:
                    finding = await examination.find()
                    if isinstance(finding.error, PlatformRateLimited):
                        self._failures.note(held, examination.held, finding.error)
                away = isinstance(finding.error, PlatformUnavailable)
                return Checked(await self._write(examination, finding), away)
        except Overtaken:
            log.info("verdict thrown away", tenant=context.tenant_id, profile=context.profile_key)
        now = await self._store.connection(context.tenant_id, context.profile_key, context.platform)
        return Checked(now.connection)

    async def _renew(self, stored: StoredConnection) -> None:
        renewed = stored
        try:
            renewed, session = await self._renewed(stored)
            if session.expires_at <= self._clock.now():
                raise PlatformUnavailable(
                    PlatformUnavailableCause.UNEXPECTED_ANSWER, "expired_token"
                )
        except (PlatformUnavailable, PlatformRateLimited, RateLimitExceeded) as error:
            self._failures.note(stored, renewed, error)
            raise
        except Overtaken:
            raise PlatformUnavailable(
                PlatformUnavailableCause.BUSY, "overtaken", retry_after=1
            ) from None
        self._failures.forget(renewed)

    async def _renewed(self, stored: StoredConnection) -> tuple[StoredConnection, Session]:
        async with self._sessions.claimed(stored.context) as held:
            if held.connection.reconnect_reason is not None:
                raise NeedsReconnect(held.context.platform, held.connection.reconnect_reason)
            if held.refreshed_at != stored.refreshed_at:
                # somebody else has renewed it meanwhile; an envelope alone may be rewrapped
                return held, self._sessions.open(held)
            examination = self._examination(held)
            finding = await examination.renew()
            if finding is None:
                assert examination.session is not None
                return examination.held, examination.session
            connection = await self._write(examination, finding)
            if connection.reconnect_reason is not None:
                raise NeedsReconnect(connection.platform, connection.reconnect_reason)
            if examination.session is None:
                raise _in_the_way(finding)
            return examination.held, examination.session

    def _examination(self, held: StoredConnection) -> Examination:
        return Examination(held, self._sessions, self._logins, self._clock, self.timeouts.check)

    async def _write(self, examination: Examination, finding: Finding) -> Connection:
        """The connection with what was found; raises Overtaken."""
        held, now = examination.held, self._clock.now()
        was = held.connection
        verdict = judged(examination, finding, self._schedule, now)
        if not await self._store.save_verdict(held, verdict):
            raise Overtaken
        log.info(
            "verdict",
            tenant=held.context.tenant_id,
            profile=held.context.profile_key,
            platform=was.platform,
            state=verdict.connection.state.value,
            reason=verdict.connection.reconnect_reason,
            doubt=finding.doubt or None,
        )
        return verdict.connection

    async def _share(
        self,
        under_way: dict[ConnectionKey, asyncio.Task[T]],
        stored: StoredConnection,
        work: Callable[[StoredConnection], Coroutine[Any, Any, T]],
    ) -> T:
        key = stored.context.key
        task = under_way.get(key)
        if task is None:
            task = under_way[key] = self._tasks.start(work(stored))
            task.add_done_callback(lambda _: under_way.pop(key))
        return await asyncio.shield(task)


def judged(
    examination: Examination, finding: Finding, schedule: Schedule, now: Micros
) -> VerdictWrite:
    """What *finding* makes of the connection, with the events that tell it."""
    was = examination.held.connection
    upkeep = examination.upkeep._replace(checked_at=now)
    if finding.doubt and finding.as_it_was:
        state = ConnectionState.BROKEN if was.needs_reconnect else ConnectionState.UNVERIFIED
        found = was._replace(state=state, next_check_at=now + finding.again_in)
    elif finding.doubt:
        # whatever was proved before an outage is proved still
        doubts = upkeep.doubts
        if doubts == examination.held.upkeep.doubts:
            # not counted by a login, which never comes before its time
            doubts = schedule.doubts(now, examination.upkeep.checked_at, doubts)
        upkeep = upkeep._replace(doubts=doubts)
        found = was._replace(
            state=ConnectionState.UNVERIFIED,
            next_check_at=schedule.after_doubt(now, doubts, finding.again_in),
        )
    elif finding.reason is not None:
        upkeep = upkeep._replace(doubts=0)
        found = was._replace(
            state=ConnectionState.BROKEN,
            reconnect_reason=finding.reason,
            last_verified_at=now,
            next_check_at=schedule.after_break(now, finding.reason, upkeep.login_after),
        )
    else:
        upkeep = upkeep._replace(doubts=0)
        if examination.refreshed:
            # a login proves the password, and not that the session will last
            upkeep = upkeep._replace(refusals=0, login_after=None)
        found = was._replace(
            state=ConnectionState.HEALTHY,
            reconnect_reason=None,
            last_verified_at=now,
            next_check_at=schedule.after_proof(now),
        )
    found = found._replace(
        username=examination.username,
        display_name=examination.username if was.display_name == was.username else was.display_name,
    )
    return VerdictWrite(found, upkeep, _events(was, found), now)


def _events(was: Connection, found: Connection) -> tuple[EventKind, ...]:
    kinds = []
    if (was.state, was.reconnect_reason) != (found.state, found.reconnect_reason):
        if found.state is ConnectionState.HEALTHY:
            kinds.append(EventKind.RECOVERED if was.needs_reconnect else EventKind.HEALTHY)
        else:
            kinds.append(EventKind(found.state.value))
    if was.username != found.username:
        kinds.append(EventKind.HANDLE_CHANGED)
    return tuple(kinds)


def _in_the_way(finding: Finding) -> ServiceError:
    if finding.error is not None:
        return finding.error
    if finding.doubt == "login_waits":
        return RateLimitExceeded(finding.again_in / SECOND)
    if finding.doubt == "moved":
        wait = finding.again_in / SECOND
        return PlatformUnavailable(
            PlatformUnavailableCause.SERVER_CHANGED, "moved", retry_after=wait
        )
    # a refusal in words that prove nothing: the next login waits, and may well end like this one
    error = PlatformUnavailable(
        PlatformUnavailableCause.UNEXPECTED_ANSWER, finding.doubt, retry_after=None
    )
    return error.at(PlatformUnavailableStep.SERVER)
