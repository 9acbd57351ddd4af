"""Idempotency: a request that is made again gets the reply that it got at first."""

import random
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
from service.runtime.tasks import OwnedTasks

SHAPE = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 1.0
"""Between two looks at a request that is under way: the pause doubles each time, with jitter."""

Reply = tuple[str | None, ...]


def check_key(idempotency_key: str) -> None:
    """Raise InvalidRequest unless it is empty (none was given) or fit to be one."""
    if idempotency_key and not SHAPE.fullmatch(idempotency_key):
        raise InvalidRequest("idempotency_key", "must be 1 to 255 printable ASCII characters")


class Idempotency:
    """Reserves keys before the work, and tells the replies of work that was done."""

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
        """The key, taken for this call, or the reply that its first use got.

        *request* is all that makes two requests the same; it may hold secrets. Waits for a first
        use that is under way, by reads, as long as the caller does. Raises IdempotencyKeyReused.
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
        """The reply to *earlier*, once there is one; None where it failed, and the key is free."""
        pause = MIN_PAUSE_SECONDS
        found: EarlierRequest | None = earlier
        while found is not None:
            if not self._tokens.matches(found.fingerprint, parts):
                raise IdempotencyKeyReused
            if found.reply is not None:
                return found.reply
            await sleep(pause * random.uniform(0.75, 1))  # noqa: S311 - a pause
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            found = await self._store.earlier_request(reservation, self._clock.now())
        return None

    @asynccontextmanager
    async def released_on_failure(self, reservation: Reservation | None) -> AsyncIterator[None]:
        """Give the key back if the block fails: only successes are kept."""
        try:
            yield
        except BaseException:
            if reservation is not None:
                # a store that is away now costs the caller no verdict: the key runs out by itself
                with suppress(ServiceUnavailable):
                    await self._tasks.shield(self._store.release(reservation))
            raise
