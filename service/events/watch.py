"""Watch: what happens to a tenant's connections, from any place that is kept, as it happens."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from service.crypto.tokens import InvalidToken, Tokens
from service.domain.errors import CursorExpired, InvalidApiKey, InvalidRequest
from service.domain.model import Caller, ConnectionEvent
from service.domain.records import EventsKept
from service.domain.store import EventStore
from service.events.latest_events import Heads

MOST_AT_ONCE = 100
HEARTBEAT_SECONDS = 25.0
"""Between two messages where nothing happens: the contract promises 30."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened since the message before, and where to go on after it."""

    events: list[ConnectionEvent]
    cursor: str


class Watch:
    """Tells each caller at their own pace: nothing waits in memory for one who is slow."""

    def __init__(self, store: EventStore, tokens: Tokens, heads: Heads) -> None:
        self._store = store
        self._tokens = tokens
        self._heads = heads

    async def changes(
        self, caller: Caller, cursor: str, *, from_oldest: bool
    ) -> AsyncGenerator[Changes, None]:
        """All that happens after *cursor*; without one, from now on or from the oldest event kept.

        The first comes at once. Raises InvalidRequest or CursorExpired.
        """
        tenant_id = caller.tenant_id
        with self._heads.watched(tenant_id) as head:
            # looked at after the head is: what comes in between is not missed
            kept = await self._kept(tenant_id)
            newest = kept.newest
            at = self._number(caller, cursor, kept) if cursor else newest
            if from_oldest and not cursor:
                at = kept.pruned
            while True:
                events = await self._next(tenant_id, at) if at < newest else []
                at += len(events)
                yield Changes(events, self._tokens.cursor(at, *_bound_to(caller)))
                if at >= newest:
                    newest = await head.after(at, HEARTBEAT_SECONDS)

    def _number(self, caller: Caller, cursor: str, kept: EventsKept) -> int:
        try:
            number = self._tokens.number(cursor, *_bound_to(caller))
        except InvalidToken:
            number = kept.newest + 1
        # ours, but of events that are still to come: the store was put back to an older one
        if number > kept.newest:
            raise InvalidRequest("cursor", "is not a cursor of this watch")
        if number < kept.pruned:
            raise CursorExpired
        return number

    async def _next(self, tenant_id: str, after: int) -> list[ConnectionEvent]:
        events = await self._store.page(tenant_id, after, MOST_AT_ONCE)
        # numbers have no gaps: what is not there was pruned before this caller came to it
        if not events or events[0].number != after + 1:
            await self._kept(tenant_id)
            raise CursorExpired
        return events

    async def _kept(self, tenant_id: str) -> EventsKept:
        kept = await self._store.kept(tenant_id)
        if kept is None:
            raise InvalidApiKey  # the tenant was deleted, and the key with it
        return kept


def _bound_to(caller: Caller) -> tuple[str, str]:
    return caller.tenant_id, "WatchConnections"
