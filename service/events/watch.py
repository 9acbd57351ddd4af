"""Watch: stream the changes of a tenant's connections, from any kept event on."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from service.crypto.tokens import InvalidToken, Tokens
from service.domain.errors import CursorExpired, InvalidApiKey, InvalidRequest
from service.domain.model import Caller, ConnectionEvent
from service.domain.records import EventsKept
from service.domain.store import EventStore
from service.events.latest_events import LatestEvent, LatestEvents

MAX_EVENTS_PER_MESSAGE = 100
HEARTBEAT_SECONDS = 25.0
"""Time between two messages when there are no events. The contract promises at most 30 s."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events since the previous message, and the cursor after them."""

    events: list[ConnectionEvent]
    cursor: str


class Watch:
    """Streams events at each caller's pace: nothing is buffered for a slow one."""

    def __init__(self, store: EventStore, tokens: Tokens, latest_events: LatestEvents) -> None:
        self._store = store
        self._tokens = tokens
        self._latest_events = latest_events
        self._positions: dict[object, tuple[LatestEvent, int]] = {}

    @property
    def open(self) -> int:
        """How many watches are open."""
        return len(self._positions)

    @property
    def lag(self) -> int:
        """How many events the slowest watch has not been sent."""
        behind = (each.number - sent for each, sent in self._positions.values())
        return max(0, *behind, 0)

    async def batches(
        self, caller: Caller, cursor: str, *, from_oldest: bool
    ) -> AsyncGenerator[EventBatch, None]:
        """Yield the events after *cursor*. Without a cursor, start after the latest event; if
        *from_oldest*, start at the oldest kept event.

        The first message comes at once. Raises InvalidRequest, CursorExpired or InvalidApiKey.
        """
        tenant_id = caller.tenant_id
        with self._latest_events.watched(tenant_id) as latest:
            # subscribe first and read second, so that no event between the two is missed
            kept = await self._kept(tenant_id)
            latest_number = kept.latest
            position = self._number(caller, cursor, kept) if cursor else latest_number
            if from_oldest and not cursor:
                position = kept.last_pruned
            mark = object()
            try:
                while True:
                    self._positions[mark] = latest, position
                    is_behind = position < latest_number
                    events = await self._next(tenant_id, position) if is_behind else []
                    position += len(events)
                    yield EventBatch(events, self._tokens.cursor(position, *_bound_to(caller)))
                    self._positions[mark] = latest, position
                    if position >= latest_number:
                        latest_number = await latest.after(position, HEARTBEAT_SECONDS)
            finally:
                del self._positions[mark]

    def _number(self, caller: Caller, cursor: str, kept: EventsKept) -> int:
        try:
            number = self._tokens.number(cursor, *_bound_to(caller))
        except InvalidToken:
            number = kept.latest + 1
        # beyond the latest event: the token is invalid, or the store was restored from a backup
        if number > kept.latest:
            raise InvalidRequest("cursor", "is not a cursor of this watch")
        if number < kept.last_pruned:
            raise CursorExpired
        return number

    async def _next(self, tenant_id: str, after: int) -> list[ConnectionEvent]:
        events = await self._store.page(tenant_id, after, MAX_EVENTS_PER_MESSAGE)
        # numbers have no gaps: a missing event was pruned before this caller read it
        if not events or events[0].number != after + 1:
            await self._kept(tenant_id)  # raises InvalidApiKey if the tenant was deleted
            raise CursorExpired
        return events

    async def _kept(self, tenant_id: str) -> EventsKept:
        kept = await self._store.kept(tenant_id)
        if kept is None:
            raise InvalidApiKey  # the tenant was deleted, and the key with it
        return kept


def _bound_to(caller: Caller) -> tuple[str, str]:
    return caller.tenant_id, "WatchConnections"
