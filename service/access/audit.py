"""The audit trail: leases and refusals are written in batches; changes, with their transaction.

A batch is written twice a second, so that no lease waits for a disk. Rows that cannot be written
wait in memory, up to a limit; then no more leases are granted. Refusals are limited: one tenant
can fill neither the table nor the memory.
"""

import asyncio
from collections.abc import Container

import structlog

from service.domain.audit import AuditedCall, AuditRow
from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.model import Micros
from service.domain.store import AuditStore
from service.runtime.token_buckets import Buckets

WRITE_EVERY_SECONDS = 0.5
MAX_UNWRITTEN = 50_000
MAX_UNWRITTEN_REFUSALS = 10_000
"""A part of MAX_UNWRITTEN, so that refusals take no leases' room."""
MAX_BATCH = 5_000
PRUNE_EVERY_SECONDS = 600.0
MAX_PRUNED = 1_000
MAX_LAST_ATTEMPTS = 3
"""To write the remaining rows when the service stops."""
REFUSALS_PER_SECOND, MAX_REFUSALS_AT_ONCE = 0.1, 100
"""Refusals that one process records of one tenant; of all unknown keys together, as of a tenant."""
MAX_COUNTED_TENANTS = 10_000
COUNTS_EVERY_SECONDS = 60.0
REFUSALS_LEFT_OUT = "REFUSALS_LEFT_OUT"
"""The outcome of a row that holds only the number of refusals left out."""

log = structlog.get_logger()


class AuditTrail:
    """Writes rows, and removes those older than *kept_for* microseconds.

    *platforms*: their ids."""

    def __init__(
        self, store: AuditStore, clock: Clock, kept_for: Micros, platforms: Container[str]
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept_for = kept_for
        self._platforms = platforms
        self._unwritten: list[AuditRow] = []
        self._refusals = Buckets(REFUSALS_PER_SECOND, MAX_REFUSALS_AT_ONCE)
        self._left_out: dict[str, int] = {}

    def note(self, row: AuditRow) -> None:
        """Write *row* within a second. Raises ServiceUnavailable if too many wait."""
        if len(self._unwritten) >= MAX_UNWRITTEN:
            raise ServiceUnavailable("audit")
        self._unwritten.append(row)

    def note_call(self, call: AuditedCall, outcome: str) -> None:
        """Record a call that has ended without a row: a refusal, or a success without a change.

        If its tenant has too many of them, count it. Never raises.
        """
        row = call.row(self._clock.now(), outcome)
        if row.platform not in self._platforms:
            row = row._replace(platform="")  # anything may stand in a refused request
        tenant_id = row.tenant_id
        is_full = len(self._unwritten) >= MAX_UNWRITTEN_REFUSALS
        if is_full or self._refusals.take(tenant_id):
            if tenant_id in self._left_out or len(self._left_out) < MAX_COUNTED_TENANTS:
                self._left_out[tenant_id] = self._left_out.get(tenant_id, 0) + 1
            return
        self._unwritten.append(row._replace(left_out=self._left_out.pop(tenant_id, 0)))

    async def run(self) -> None:
        """Write and prune until cancelled; then write the remaining rows."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_regularly())
                group.create_task(self._prune_regularly())
                group.create_task(self._note_counts_regularly())
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Write the remaining rows, and the counts of refusals left out."""
        self._note_counts()
        await self._write_remaining()

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            try:
                # later rows wait for the next turn, or each commit would have few
                waiting = len(self._unwritten)
                for _ in range(0, waiting, MAX_BATCH):
                    await self._write()
            except ServiceUnavailable:
                log.error("audit trail cannot be written", waiting=len(self._unwritten))

    async def _write_remaining(self) -> None:
        for attempt in range(MAX_LAST_ATTEMPTS):
            try:
                while self._unwritten:
                    await self._write()
            except ServiceUnavailable:
                log.error("audit trail cannot be written", waiting=len(self._unwritten))
                await asyncio.sleep(attempt)
        if self._unwritten:
            log.critical("rows of the audit trail are lost", rows=len(self._unwritten))

    async def _write(self) -> None:
        writing = asyncio.create_task(self._write_batch())
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # a write in progress may be committed: writing it again would duplicate it
            await asyncio.wait([writing])
            raise

    async def _write_batch(self) -> None:
        some = self._unwritten[:MAX_BATCH]
        await self._store.add(some)
        del self._unwritten[: len(some)]

    async def _note_counts_regularly(self) -> None:
        while True:
            await asyncio.sleep(COUNTS_EVERY_SECONDS)
            self._note_counts()

    def _note_counts(self) -> None:
        """Note how many refusals of each tenant were left out since its last row."""
        now = self._clock.now()
        while self._left_out and len(self._unwritten) < MAX_UNWRITTEN:
            tenant_id, count = self._left_out.popitem()
            self._unwritten.append(AuditRow(now, tenant_id, "", REFUSALS_LEFT_OUT, left_out=count))

    async def _prune_regularly(self) -> None:
        while True:
            try:
                before = self._clock.now() - self._kept_for
                pruned = MAX_PRUNED
                while pruned >= MAX_PRUNED:
                    pruned = await self._store.delete(before, MAX_PRUNED)
            except ServiceUnavailable:
                log.warning("audit trail cannot be pruned")
            await asyncio.sleep(PRUNE_EVERY_SECONDS)
