"""The audit trail of leases: who was lent a session, when and until when.

Written a second's worth at a time, so that a lease waits for no disk; the log has each, too. What
cannot be written is kept, up to a bound, beyond which nothing more is lent.
"""

import asyncio

import structlog

from service.domain.clock import Clock
from service.domain.errors import ServiceUnavailable
from service.domain.model import Micros
from service.domain.records import AuditedLease
from service.domain.store import LeaseAuditStore
from service.runtime.log import Frequent

WRITE_EVERY_SECONDS = 0.5
MOST_UNWRITTEN = 50_000
AT_ONCE = 5_000
FORGET_EVERY_SECONDS = 600.0
FORGET_AT_ONCE = 1_000
LAST_ATTEMPTS = 3
"""To write what is left when the service stops."""

log = structlog.get_logger()
leases = Frequent()


class Audit:
    """Takes note of leases, and forgets those older than *kept_for*, in microseconds."""

    def __init__(self, store: LeaseAuditStore, clock: Clock, kept_for: Micros) -> None:
        self._store = store
        self._clock = clock
        self._kept_for = kept_for
        self._unwritten: list[AuditedLease] = []

    def note(self, lease: AuditedLease) -> None:
        """Write *lease* down within a second. Raises ServiceUnavailable where too much waits."""
        if len(self._unwritten) >= MOST_UNWRITTEN:
            raise ServiceUnavailable("audit")
        self._unwritten.append(lease)
        leases.info(
            "lease",
            tenant=lease.tenant_id,
            key=lease.key_id,
            profile=lease.profile_key,
            platform=lease.platform,
            account=lease.account_id,
            expires_at=lease.expires_at,
        )

    async def run(self) -> None:
        """Write and forget until cancelled; then write what is left."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_again_and_again())
                group.create_task(self._forget_again_and_again())
        finally:
            await self._write_the_rest()

    async def _write_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            try:
                # what comes meanwhile waits for the next time, or each commit would be of a few
                waiting = len(self._unwritten)
                for _ in range(0, waiting, AT_ONCE):
                    await self._write()
            except ServiceUnavailable:
                log.error("audit of leases cannot be written", waiting=len(self._unwritten))

    async def _write_the_rest(self) -> None:
        for attempt in range(LAST_ATTEMPTS):
            try:
                while self._unwritten:
                    await self._write()
            except ServiceUnavailable:
                log.error("audit of leases cannot be written", waiting=len(self._unwritten))
                await asyncio.sleep(attempt)
        if self._unwritten:
            log.critical("audit of leases is lost", leases=len(self._unwritten))

    async def _write(self) -> None:
        writing = asyncio.create_task(self._write_some())
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # what is under way may be committed: to write it once more would tell it twice
            await asyncio.wait([writing])
            raise

    async def _write_some(self) -> None:
        some = self._unwritten[:AT_ONCE]
        await self._store.add_leases(some)
        del self._unwritten[: len(some)]

    async def _forget_again_and_again(self) -> None:
        while True:
            try:
                before = self._clock.now() - self._kept_for
                forgotten = FORGET_AT_ONCE
                while forgotten >= FORGET_AT_ONCE:
                    forgotten = await self._store.forget_leases(before, FORGET_AT_ONCE)
            except ServiceUnavailable:
                log.warning("audit of leases cannot be tidied")
            await asyncio.sleep(FORGET_EVERY_SECONDS)
