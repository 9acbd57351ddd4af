"""Idempotency: a request that is made again gets the reply that it got at first."""

import re
from asyncio import sleep
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from service.access import random_id
from service.errors import IdempotencyKeyReused, InvalidRequest, ServiceUnavailable
from service.model import Caller
from service.ports import Clock, Store
from service.records import Reservation
from service.tasks import OwnedTasks
from service.tokens import Tokens

SHAPE = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
ASK_AGAIN_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.8
"""Each time the pause doubles up to this: many that wait must not keep the store to themselves."""

Reply = tuple[str | None, ...]


def check_key(idempotency_key: str) -> None:
    """Raise InvalidRequest unless it is empty (none was given) or fit to be one."""
    if idempotency_key and not SHAPE.fullmatch(idempotency_key):
        raise InvalidRequest("idempotency_key", "must be 1 to 255 printable ASCII characters")


class Idempotency:
    """Reserves keys before the work, and tells the replies of work that was done."""

    def __init__(self, store: Store, tokens: Tokens, clock: Clock, tasks: OwnedTasks) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._tasks = tasks

    async def claim(
        self, caller: Caller, method: str, idempotency_key: str, request: Iterable[str]
    ) -> tuple[Reservation | None, Reply | None]:
        """The key, taken for this call, or the reply that its first use got.

        *request* is all that makes two requests the same; it may hold secrets. Waits for a first
        use that is under way, as long as the caller does. Raises IdempotencyKeyReused.
        """
        if not idempotency_key:
            return None, None
        parts = list(request)
        fingerprint = self._tokens.fingerprint(parts)
        reservation = Reservation(caller.tenant_id, method, idempotency_key, random_id())
        pause = ASK_AGAIN_SECONDS
        async with self.released_on_failure(reservation):
            while earlier := await self._store.reserve(reservation, fingerprint, self._clock.now()):
                if not self._tokens.matches(earlier.fingerprint, parts):
                    raise IdempotencyKeyReused
                if earlier.reply is not None:
                    return None, earlier.reply
                await sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return reservation, None

    @asynccontextmanager
    async def released_on_failure(self, reservation: Reservation | None) -> AsyncIterator[None]:
        """Give the key back if the block fails: only successes are kept."""
        try:
            yield
        except BaseException:
            if reservation is not None:
                # a store that is away now costs the caller no verdict: the key runs out by itself
                with suppress(ServiceUnavailable):
                    await self._tasks.finish(self._store.release(reservation))
            raise
