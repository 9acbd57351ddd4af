"""Idempotency: a repeated request gets the reply of the first."""

import re
from asyncio import sleep
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from service.crypto.tokens import Tokens
from service.domain.clock import Clock
from service.domain.errors import IdempotencyKeyReused, InvalidRequest, ServiceUnavailable
from service.domain.ids import random_id
from service.domain.model import Caller, Micros
from service.domain.records import EarlierRequest, Fingerprint, Reservation
from service.domain.store import IdempotencyStore
from service.runtime import pauses
from service.runtime.tasks import OwnedTasks

SHAPE = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.05, 1.0
"""Pauses between two reads of a request that is under way."""

Reply = tuple[str | None, ...]


def check_idempotency_key(idempotency_key: str) -> None:
    """Raise InvalidRequest unless the key is empty (none was given) or well formed."""
    if idempotency_key and not SHAPE.fullmatch(idempotency_key):
        raise InvalidRequest("idempotency_key", "must be 1 to 255 printable ASCII characters")


class Idempotency:
    """Reserves idempotency keys before the work, and returns the replies of earlier requests."""

    def __init__(
        self,
        store: IdempotencyStore,
        tokens: Tokens,
        clock: Clock,
        tasks: OwnedTasks,
        reserved_for: Micros,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._tasks = tasks
        self._reserved_for = reserved_for

    async def claim(
        self, caller: Caller, method: str, idempotency_key: str, request: Iterable[str]
    ) -> tuple[Reservation | None, Reply | None]:
        """Reserve the key for this call, or return the reply of the request that first used it.

        *request* holds the fields that two equal requests share; it may hold secrets. While the
        first request is under way, poll the store for as long as the caller waits. Raises
        IdempotencyKeyReused where the first request was another one.
        """
        if not idempotency_key:
            return None, None
        parts = list(request)
        fingerprint = self._tokens.fingerprint(parts)
        reservation = Reservation(caller.tenant_id, method, idempotency_key, random_id())
        async with self.released_on_failure(reservation):
            while earlier := await self._reserve(reservation, fingerprint):
                if reply := await self._reply(reservation, earlier, parts):
                    return None, reply
        return reservation, None

    async def _reserve(
        self, reservation: Reservation, fingerprint: Fingerprint
    ) -> EarlierRequest | None:
        now = self._clock.now()
        return await self._store.reserve(reservation, fingerprint, now, now + self._reserved_for)

    async def _reply(
        self, reservation: Reservation, earlier: EarlierRequest, parts: list[str]
    ) -> Reply | None:
        """Wait for the reply to *earlier*; return None if it failed, which frees the key."""
        polls = pauses.doubling(MIN_POLL_SECONDS, MAX_POLL_SECONDS)
        found: EarlierRequest | None = earlier
        while found is not None:
            if not self._tokens.matches(found.fingerprint, parts):
                raise IdempotencyKeyReused
            if found.reply is not None:
                return found.reply
            await sleep(next(polls))
            found = await self._store.earlier_request(reservation, self._clock.now())
        return None

    @asynccontextmanager
    async def released_on_failure(self, reservation: Reservation | None) -> AsyncIterator[None]:
        """Release the key if the block fails: only successful calls keep it."""
        try:
            yield
        except BaseException:
            if reservation is not None:
                # while the store is unavailable, the block's own error counts; the key expires
                with suppress(ServiceUnavailable):
                    await self._tasks.shield(self._store.release(reservation))
            raise
