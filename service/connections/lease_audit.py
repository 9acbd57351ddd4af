"""The audit trail of leases: who was lent a session, when and until when.

Leases are written in batches, twice a second, so that no lease waits for a disk; each is also
logged. Leases that cannot be written wait in memory, up to a limit; then no more are granted.
"""

import asyncio

import structlog

from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.model import Lent, Micros
from service.domain.records import AuditedLease
from service.domain.store import LeaseAuditStore
from service.runtime.log import Frequent

WRITE_EVERY_SECONDS = 0.5
MAX_UNWRITTEN = 50_000
MAX_BATCH = 5_000
PRUNE_EVERY_SECONDS = 600.0
MAX_PRUNED = 1_000
MAX_LAST_ATTEMPTS = 3
"""To write the remaining leases when the service stops."""

log = structlog.get_logger()
lease_log = Frequent()


class Audit:
    """Writes leases down, and removes those older than *kept_for* microseconds."""

    def __init__(self, store: LeaseAuditStore, clock: Clock, kept_for: Micros) -> None:
        self._store = store
        self._clock = clock
        self._kept_for = kept_for
        self._unwritten: list[AuditedLease] = []

    def note(self, lease: AuditedLease) -> None:
        """Write *lease* down within a second. Raises ServiceUnavailable if too many wait."""
        if len(self._unwritten) >= MAX_UNWRITTEN:
            raise ServiceUnavailable("audit")
        self._unwritten.append(lease)
        lease_log.info(
            "lease",
            tenant=lease.tenant_id,
            key=lease.key_id,
            profile=lease.profile_key,
            platform=lease.platform,
            account=lease.account_id,
            expires_at=None if lease.lent is Lent.CREDENTIAL else lease.expires_at,
            lent=lease.lent.value,
        )

    async def run(self) -> None:
        """Write and prune until cancelled; then write the remaining leases."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_regularly())
                group.create_task(self._prune_regularly())
        finally:
            await self._write_remaining()

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            try:
                # later leases wait for the next turn, or each commit would have few
                waiting = len(self._unwritten)
                for _ in range(0, waiting, MAX_BATCH):
                    await self._write()
            except ServiceUnavailable:
                log.error("audit of leases cannot be written", waiting=len(self._unwritten))

    async def _write_remaining(self) -> None:
        for attempt in range(MAX_LAST_ATTEMPTS):
            try:
                while self._unwritten:
                    await self._write()
            except ServiceUnavailable:
                log.error("audit of leases cannot be written", waiting=len(self._unwritten))
                await asyncio.sleep(attempt)
        if self._unwritten:
            log.critical("audit of leases is lost", leases=len(self._unwritten))

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
        await self._store.add_leases(some)
        del self._unwritten[: len(some)]

    async def _prune_regularly(self) -> None:
        while True:
            try:
                before = self._clock.now() - self._kept_for
                pruned = MAX_PRUNED
                while pruned >= MAX_PRUNED:
                    pruned = await self._store.delete_leases(before, MAX_PRUNED)
            except ServiceUnavailable:
                log.warning("audit of leases cannot be tidied")
            await asyncio.sleep(PRUNE_EVERY_SECONDS)
