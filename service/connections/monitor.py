"""The monitor: checks every connection when it is due.

It picks due connections from the store, soonest first and fairly over tenants. A pick makes them
due again a little later, so that no two processes check one connection and a crash loses none.
Limits apply to checks started a second, running at once, and at one host. A host that fails
repeatedly is paused.
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
from service.runtime.metrics import Metrics

MAX_CHECKS = 32
MAX_CHECKS_AT_HOST = 4
MAX_WAITING_AT_HOST = 16
MAX_PICKED = 8
MAX_DUE_IN: Micros = 2 * DAY
"""The latest valid due time; later ones come from a clock that was set back since."""
MAX_REST_SECONDS = 5.0
MIN_REST_SECONDS = 0.05
BUSY_SECONDS = 10.0
"""About how long a check is postponed if its host has too many waiting."""
MAX_FAILURES = 3
"""Failures in a row after which a host is paused."""
MIN_PAUSE_SECONDS = 30.0
MAX_PAUSE_SECONDS = 1800.0
MAX_HOSTS = 10_000

log = structlog.get_logger()


@dataclass(slots=True)
class _Host:
    running: int = 0
    waiting: deque[Due] = field(default_factory=deque)
    failures: int = 0
    paused_until: float = 0.0


class Monitor:
    """Checks all connections regularly, starting at most *per_second* checks a second."""

    def __init__(
        self,
        queue: CheckQueue,
        store: ConnectionStore,
        health: Health,
        clock: Clock,
        per_second: float,
        timeouts: Timeouts,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        metrics.monitor_running.set_function(lambda: len(self._running))
        self._queue = queue
        self._store = store
        self._health = health
        self._clock = clock
        self._pace = 1 / per_second
        self._again_after: Micros = int(timeouts.picked * SECOND)
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._last_tenant = ""
        self._bring_forward_at = 0.0

    async def run(self) -> None:
        """Start due checks until cancelled. The service then finishes the checks in progress."""
        try:
            while True:
                if len(self._running) >= MAX_CHECKS:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                try:
                    if not await self._take_some():
                        await asyncio.sleep(await self._rest())
                except ServiceUnavailable:
                    await asyncio.sleep(MAX_REST_SECONDS)
        finally:
            for host in self._hosts.values():
                host.waiting.clear()
            for task in list(self._running):
                task.cancel()

    async def _take_some(self) -> bool:
        """Start or postpone checks that are due. Return whether there were any."""
        self._metrics.monitor_rounds.inc()
        now = self._clock.now()
        limit = min(MAX_PICKED, MAX_CHECKS - len(self._running))
        picked = await self._queue.pick_due(now, now + self._again_after, limit, self._last_tenant)
        for due in picked:
            host = self._host(due.origin)
            wait = self._wait(host)
            if wait:
                self._count("postponed")
                await self._queue.put_off(due, self._clock.now() + int(wait * SECOND))
            elif host.running < MAX_CHECKS_AT_HOST:
                self._start(due, host)
            else:
                host.waiting.append(due)
            # postponing one costs little
            await asyncio.sleep(self._pace / 10 if wait else self._pace)
        if picked:
            self._last_tenant = picked[-1].tenant_id
        return bool(picked)

    async def _rest(self) -> float:
        """Return how many seconds there is nothing to do."""
        now = self._clock.now()
        if monotonic() >= self._bring_forward_at:
            # a write: not before every rest, of which there are many a second
            await self._queue.bring_forward(now, now + MAX_DUE_IN)
            self._bring_forward_at = monotonic() + MAX_REST_SECONDS
        due = await self._queue.next_due()
        if due is None:
            return MAX_REST_SECONDS
        return min(max((due - now) / SECOND, MIN_REST_SECONDS), MAX_REST_SECONDS)

    def _wait(self, host: _Host) -> float:
        """Return how many seconds to postpone a check at *host*; 0 to start it now."""
        pause = host.paused_until - monotonic()
        if pause > 0:
            # spread, so that not all of them are due at once when the pause ends
            return pause * random.uniform(1, 2)  # noqa: S311 - no secret
        if len(host.waiting) >= MAX_WAITING_AT_HOST:
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
            self._count("gone")  # the connection ended meanwhile
            return
        except (ServiceUnavailable, UnknownKey, RateLimitExceeded) as error:
            # it is due again soon; the limit is of a caller who shared the check
            self._count("unfinished")
            log.warning("check not finished", exception=type(error).__name__)
            return
        finally:
            host.running -= 1
            if host.waiting:
                self._start(host.waiting.popleft(), host)
        self._count("unavailable" if checked.is_unavailable else "checked")
        if not checked.is_unavailable:
            host.failures = 0
            return
        host.failures += 1
        if host.failures >= MAX_FAILURES:
            pause = MIN_PAUSE_SECONDS * 2.0 ** min(host.failures - MAX_FAILURES, 10)
            host.paused_until = monotonic() + min(pause, MAX_PAUSE_SECONDS)
            host.waiting.clear()  # they are due again soon, and postponed then

    def _count(self, outcome: str) -> None:
        self._metrics.monitor_checks.labels(outcome).inc()

    def _host(self, origin: str) -> _Host:
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = _Host()
            if len(self._hosts) > MAX_HOSTS:
                self._hosts.popitem(last=False)
        self._hosts.move_to_end(origin)
        return host
