"""Story: the events of a tenant, told from the first, and the rows that they have to lead to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Story:
    """*told*: each connection as its events leave it, by profile key. Raises AssertionError where
    an event does not follow from the one before it."""

    last: int = 0
    told: dict[str, Row] = field(default_factory=dict)

    def go_on(self, events: Sequence[Row]) -> None:
        """Events that came since, in order."""
        for event in events:
            self.last += 1
            assert event["number"] == self.last, "numbers have no gaps"
            key, kind = event["profile_key"], event["kind"]
            before = self.told.get(key)
            if event["connection"] is None:
                # of a deleted profile: no more than that it was
                assert kind == "DISCONNECTED"
                assert before is not None
                del self.told[key]
                continue
            now = json.loads(event["connection"])
            _follows(kind, before, now)
            if kind == "DISCONNECTED":
                del self.told[key]
            else:
                self.told[key] = now

    def agrees_with(self, rows: Sequence[Row]) -> None:
        """Raises AssertionError unless *rows* (of connections) are what the events tell."""
        facts = ("account_id", "state", "reconnect_reason", "username", "connected_at")
        assert {row["profile_key"]: [row[fact] for fact in facts] for row in rows} == {
            key: [told[fact] for fact in facts] for key, told in self.told.items()
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
            # told last: of two events of one check, both show all that it found
            assert (state, reason) == (was, had)
        case _:
            assert kind == "DISCONNECTED"
