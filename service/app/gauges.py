"""Gauges: what is read from other objects at a scrape, and what a loop asks the store for.

A scrape asks the store for nothing. One loop asks for the oldest due check, which an index answers.
Another counts rows in pages, and rests COUNT_REST times as long as each took, however many there
are. While the store is away, its gauges have no value.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from math import nan
from time import perf_counter

import structlog

from service.crypto.keyring import KeyPurpose, Keyring, KeyState, age
from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.model import SECOND
from service.domain.webhooks import QueueCounts
from service.events.watch import Watch
from service.runtime.metrics import Metrics
from service.storage.store import SqlStore
from service.transport.admission import Admission, CallSlots
from service.transport.certificates import Certificates

LAG_INTERVAL_SECONDS = 5.0
MIN_COUNT_INTERVAL_SECONDS = 30.0
COUNT_REST = 30
"""Rests after a page of a survey, as multiples of its time: the share of one connection's time."""
PAGE = 1000
"""Connections that are counted at once."""
TICK_SECONDS = 0.25
MISSING = "missing"
"""The state, in the metrics, of a key that rows name and the keyring lacks."""

log = structlog.get_logger()


def show_counts(
    metrics: Metrics, admission: Admission, watch: Watch, keyring: Keyring, store: SqlStore
) -> None:
    """Have *metrics* read the counts that these objects keep."""
    for kind, slots in admission.kinds.items():
        metrics.calls_in_progress.labels(kind).set_function(partial(_count, slots))
        metrics.calls_limit.labels(kind).set(slots.max_calls)
    metrics.watches.set_function(lambda: watch.open)
    metrics.watch_lag.set_function(lambda: watch.lag)
    metrics.store_waiting.set_function(lambda: store.usage().waiting)
    for state in store.usage().pool:
        metrics.store_pool.labels(state).set_function(partial(_pooled, store, state))
    for purpose in KeyPurpose:
        for state in KeyState:
            metrics.keyring_keys.labels(purpose.value, state.value).set_function(
                partial(_keys, keyring, purpose, state)
            )


def _count(slots: CallSlots) -> int:
    return len(slots.key_ids)


def _pooled(store: SqlStore, state: str) -> int:
    return store.usage().pool[state]


def _keys(keyring: Keyring, purpose: KeyPurpose, state: KeyState) -> int:
    return sum(key.purpose is purpose and key.state is state for key in keyring.keys)


def show_certificate(metrics: Metrics, certificates: Certificates) -> None:
    """Have *metrics* show when the certificate that is served now expires."""

    def end() -> float:
        return certificates.current().leaf.not_valid_after_utc.timestamp()

    metrics.certificate_end.set_function(end)


class Gauges:
    """The loops that fill gauges."""

    def __init__(self, metrics: Metrics, store: SqlStore, keyring: Keyring, clock: Clock) -> None:
        self._metrics = metrics
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._conflicts = 0

    async def follow_lag(self) -> None:
        """Update the lags, the age of keys and the conflicts, until cancelled."""
        while True:
            try:
                due, now = await self._store.checks.next_due(), self._clock.now()
                lag = 0.0 if due is None else max(0.0, (now - due) / SECOND)
                oldest = await self._store.webhook_queue.oldest_waiting(now)
                behind = 0.0 if oldest is None else max(0.0, (now - oldest) / SECOND)
            except ServiceUnavailable:
                lag = behind = nan
            self._metrics.monitor_lag.set(lag)
            self._metrics.webhook_lag.set(behind)
            self._show_keys()
            conflicts = self._store.usage().conflicts
            self._metrics.store_conflicts.inc(conflicts - self._conflicts)
            self._conflicts = conflicts
            await asyncio.sleep(LAG_INTERVAL_SECONDS)

    def _show_keys(self) -> None:
        self._metrics.key_age.clear()
        for key in self._keyring.keys:
            if key.state is KeyState.ACTIVE:
                seconds = age(key.created_at, datetime.now(UTC))
                self._metrics.key_age.labels(key.purpose.value, key.wrap.value).set(
                    max(0.0, seconds)
                )

    async def count_rows(self) -> None:
        """Count connections by state, and secrets by their key's, until cancelled."""
        while True:
            try:
                connections, key_ids = await self._survey()
                counts = await self._store.webhook_queue.counts()
            except ServiceUnavailable as error:
                log.info("rows could not be counted", why=error.why)
                connections, key_ids, counts = Counter(), Counter(), None
            self._metrics.connections.clear()
            for (platform, state), count in connections.items():
                self._metrics.connections.labels(platform, state).set(count)
            self._metrics.keyring_rows.clear()
            for state, count in self._by_state(key_ids).items():
                self._metrics.keyring_rows.labels(state).set(count)
            self._show_webhooks(counts)
            await asyncio.sleep(MIN_COUNT_INTERVAL_SECONDS)

    def _show_webhooks(self, counts: QueueCounts | None) -> None:
        gauges = self._metrics.webhooks, self._metrics.webhook_queue
        for gauge in gauges:
            gauge.clear()
        if counts is not None:
            gauges[0].labels("enabled").set(counts.enabled)
            gauges[0].labels("disabled").set(counts.disabled)
            gauges[1].labels("waiting").set(counts.waiting)
            gauges[1].labels("given_up").set(counts.failed)

    async def _survey(self) -> tuple[Counter[tuple[str, str]], Counter[str]]:
        """Return the number of connections by platform and state, and of secrets by key id."""
        connections: Counter[tuple[str, str]] = Counter()
        key_ids = Counter(await self._store.webhook_queue.key_uses())
        after = ("", "", "")
        while True:
            started = perf_counter()
            page = await self._store.connections.survey(after, PAGE)
            for found in page:
                connections[found.platform, found.state] += 1
                key_ids[found.credential_key_id] += 1
                key_ids[found.session_key_id] += 1
            if len(page) < PAGE:
                return connections, key_ids
            after = page[-1][:3]
            await asyncio.sleep(COUNT_REST * (perf_counter() - started))

    def _by_state(self, key_ids: Mapping[str, int]) -> Counter[str]:
        if not key_ids:
            return Counter()
        states = {key.key_id: key.state.value for key in self._keyring.keys}
        found = Counter(dict.fromkeys((*KeyState, MISSING), 0))
        for key_id, count in key_ids.items():
            found[states.get(key_id, MISSING)] += count
        return found

    async def follow_loop(self) -> None:
        """Measure how late the event loop runs a timer, until cancelled."""
        while True:
            due = perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._metrics.loop_lag.observe(max(0.0, perf_counter() - due))
