"""Event history: a tenant's connections, rebuilt from its events and compared with the rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class EventHistory:
    """*connections*: each connection after its events, by profile key.

    Raises AssertionError if an event does not follow from the one before it.
    """

    last: int = 0
    connections: dict[str, Row] = field(default_factory=dict)

    def apply(self, events: Sequence[Row]) -> None:
        """Apply later events, in order."""
        for event in events:
            self.last += 1
            assert event["number"] == self.last, "numbers have no gaps"
            key, kind = event["profile_key"], event["kind"]
            before = self.connections.get(key)
            if event["connection"] is None:
                # a deleted profile's event holds only kind and key
                assert kind == "DISCONNECTED"
                assert before is not None
                del self.connections[key]
                continue
            now = json.loads(event["connection"])
            _follows(kind, before, now)
            if kind == "DISCONNECTED":
                del self.connections[key]
            else:
                self.connections[key] = now

    def agrees_with(self, rows: Sequence[Row]) -> None:
        """Raise AssertionError unless *rows* (of connections) match the events."""
        facts = ("account_id", "state", "reconnect_reason", "username", "connected_at")
        assert {row["profile_key"]: [row[fact] for fact in facts] for row in rows} == {
            key: [connection[fact] for fact in facts]
            for key, connection in self.connections.items()
        }


def _follows(kind: str, before: Row | None, now: Row) -> None:
    state, reason = now["state"], now["reconnect_reason"]
    if kind == "CONNECTED":
        assert before is None
        assert (state, reason) == ("HEALTHY", None)
        return
    assert before is not None
    was, had = before["state"], before["reconnect_reason"]
    match kind:
        case "RECONNECTED":
            assert (state, reason) == ("HEALTHY", None)
        case "HEALTHY":
            assert (was, had, state, reason) == ("UNVERIFIED", None, "HEALTHY", None)
        case "RECOVERED":
            assert (had is not None, state, reason) == (True, "HEALTHY", None)
        case "UNVERIFIED":
            assert (was != state, state, reason) == (True, "UNVERIFIED", had)
        case "BROKEN":
            assert (state, reason is not None) == ("BROKEN", True)
            assert (was, had) != (state, reason)
        case "HANDLE_CHANGED":
            # the last event of a check: all of its events show the whole result
            assert (state, reason) == (was, had)
        case _:
            assert kind == "DISCONNECTED"
