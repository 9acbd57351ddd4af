"""Messages: their bodies, and the headers by which a receiver verifies them."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook as Signer

from service.domain.model import SECOND, ConnectionEvent, Micros

Payload = Callable[[ConnectionEvent], Mapping[str, Any]]
"""Returns an event in the contract's JSON form."""


def body(event_type: str, at: Micros, data: Mapping[str, Any]) -> str:
    """Return the JSON text of a message."""
    message = {"type": event_type, "timestamp": time_text(at), "data": data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def time_text(at: Micros) -> str:
    """Return a time as RFC 3339 in UTC, to the microsecond."""
    # not from a float, which would round
    moment = datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def headers(secrets: Sequence[str], message_id: str, at: Micros, text: str) -> dict[str, str]:
    """Return the headers of one try, signed with each of *secrets*."""
    moment = datetime.fromtimestamp(at // SECOND, UTC)
    signatures = [Signer(secret).sign(message_id, moment, text) for secret in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(at // SECOND),
        "webhook-signature": " ".join(signatures),
    }
