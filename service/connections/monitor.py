"""The monitor: asks for a verdict on every connection, each in its time.

What is due is taken from the store, soonest first and fairly over the tenants, and is due again a
little later should we die over it: several processes never check one connection twice. So many
checks start in a second, so many run at once, so few at one host; a host that fails again and
again is left alone for a while.
"""

import asyncio
import random
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from time import monotonic

import structlog

from service.connections.health import Health
from service.connections.timeouts import Timeouts
from service.crypto.keyring import UnknownKey
from service.domain.clock import Clock
from service.domain.errors import (
    PlatformNotConnected,
    ProfileNotFound,
    RateLimitExceeded,
    ServiceUnavailable,
)
from service.domain.model import DAY, SECOND, Micros
from service.domain.records import Due
from service.domain.store import CheckQueue, ConnectionStore

AT_ONCE = 32
AT_ONE_HOST = 4
WAITING_FOR_ONE_HOST = 16
PICKED_AT_ONCE = 8
LATEST: Micros = 2 * DAY
"""No check is put off so long: a later one was by a clock that has been put back since."""
LONGEST_REST = 5.0
SHORTEST_REST = 0.05
BUSY_SECONDS = 10.0
"""How long a check waits, about, for a host that is busy with others."""
FAILURES = 3
"""In a row, after which a host is left alone."""
AWAY_SECONDS = 30.0
LONGEST_AWAY = 1800.0
MOST_HOSTS = 10_000

log = structlog.get_logger()


@dataclass(slots=True)
class _Host:
    running: int = 0
    waiting: deque[Due] = field(default_factory=deque)
    failures: int = 0
    away_until: float = 0.0


class Monitor:
    """Goes round all connections, starting at most *per_second* checks in a second."""

    def __init__(
        self,
        queue: CheckQueue,
        store: ConnectionStore,
        health: Health,
        clock: Clock,
        per_second: float,
        timeouts: Timeouts,
    ) -> None:
        self._queue = queue
        self._store = store
        self._health = health
        self._clock = clock
        self._pace = 1 / per_second
        self._again_after: Micros = int(timeouts.picked * SECOND)
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._last_tenant = ""

    async def run(self) -> None:
        """Check what is due until cancelled. Checks under way then are the service's to finish."""
        try:
            while True:
                if len(self._running) >= AT_ONCE:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                try:
                    if not await self._take_some():
                        await asyncio.sleep(await self._rest())
                except ServiceUnavailable:
                    await asyncio.sleep(LONGEST_REST)
        finally:
            for host in self._hosts.values():
                host.waiting.clear()
            for task in list(self._running):
                task.cancel()

    async def _take_some(self) -> bool:
        """Start checks that are due, or put them off; whether there were any."""
        now = self._clock.now()
        most = min(PICKED_AT_ONCE, AT_ONCE - len(self._running))
        picked = await self._queue.pick_due(now, now + self._again_after, most, self._last_tenant)
        for due in picked:
            host = self._host(due.origin)
            wait = self._wait(host)
            if wait:
                await self._queue.put_off(due, self._clock.now() + int(wait * SECOND))
            elif host.running < AT_ONE_HOST:
                self._start(due, host)
            else:
                host.waiting.append(due)
            # what is put off costs little
            await asyncio.sleep(self._pace / 10 if wait else self._pace)
        if picked:
            self._last_tenant = picked[-1].tenant_id
        return bool(picked)

    async def _rest(self) -> float:
        """How long there is nothing to do, in seconds."""
        now = self._clock.now()
        await self._queue.bring_forward(now, now + LATEST)
        due = await self._queue.next_due()
        if due is None:
            return LONGEST_REST
        return min(max((due - now) / SECOND, SHORTEST_REST), LONGEST_REST)

    def _wait(self, host: _Host) -> float:
        """How long a check at *host* has to be put off, in seconds; 0 for not at all."""
        away = host.away_until - monotonic()
        if away > 0:
            # spread, so that not all that waited asks at once when it is over
            return away * random.uniform(1, 2)  # noqa: S311 - no secret
        if len(host.waiting) >= WAITING_FOR_ONE_HOST:
            return BUSY_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        return 0

    def _start(self, due: Due, host: _Host) -> None:
        host.running += 1
        task = asyncio.create_task(self._check(due, host))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("check failed", exc_info=error)

    async def _check(self, due: Due, host: _Host) -> None:
        try:
            stored = await self._store.connection(due.tenant_id, due.profile_key, due.platform)
            checked = await self._health.check(stored)
        except (ProfileNotFound, PlatformNotConnected):
            return  # gone meanwhile
        except (ServiceUnavailable, UnknownKey, RateLimitExceeded) as error:
            # it is due again soon; a limit is that of a caller who asked for the same check
            log.warning("check not finished", exception=type(error).__name__)
            return
        finally:
            host.running -= 1
            if host.waiting:
                self._start(host.waiting.popleft(), host)
        if not checked.away:
            host.failures = 0
            return
        host.failures += 1
        if host.failures >= FAILURES:
            away = AWAY_SECONDS * 2.0 ** min(host.failures - FAILURES, 10)
            host.away_until = monotonic() + min(away, LONGEST_AWAY)
            host.waiting.clear()  # they are due again soon, and put off then

    def _host(self, origin: str) -> _Host:
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = _Host()
            if len(self._hosts) > MOST_HOSTS:
                self._hosts.popitem(last=False)
        self._hosts.move_to_end(origin)
        return host
