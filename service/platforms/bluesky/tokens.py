"""Bluesky's tokens: opaque by the specification. The claims of a JWT are only a hint."""

import base64
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from service.domain.model import DAY, SECOND, Micros
from service.platforms import json_text

TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
"""The tokens that can be sent in a header."""
MIN_LIFETIME_SECONDS = 1
MAX_LIFETIME_SECONDS = 30 * 24 * 3600
"""A longer lifetime is not believed."""
OPAQUE_LIFETIME: Micros = 30 * 60 * SECOND
MAX_LIFETIME: Micros = DAY
MAX_NUMERIC_DATE = 253_402_300_799
"""The end of the year 9999, in seconds."""


def is_usable(token: object) -> TypeGuard[str]:
    """Whether *token* is a string that can be sent in a header."""
    return isinstance(token, str) and bool(TOKEN.fullmatch(token))


def expires_at(token: str, now: Micros) -> Micros:
    """Return when an access token that arrived *now* expires, by our clock.

    Its lifetime is `exp - iat`, which is independent of the server's clock; if that is invalid,
    `exp - now`. A lifetime is valid from 1 s to 30 days. A token without a valid one counts as
    opaque and expires after 30 minutes. Every token expires after at most 24 hours.
    """
    stated = claims(token)
    expires, issued = _time(stated.get("exp")), _time(stated.get("iat"))
    if expires is not None:
        for since in (issued, now / SECOND):
            if (
                since is not None
                and MIN_LIFETIME_SECONDS <= expires - since <= MAX_LIFETIME_SECONDS
            ):
                return now + min(int((expires - since) * SECOND), MAX_LIFETIME)
    return now + OPAQUE_LIFETIME


def claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a JWT, unverified; empty if *token* is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        payload = json_text.parse(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _time(claim: object) -> float | None:
    """Return a NumericDate, which may have a fraction; None if invalid."""
    # bool is a subclass of int
    number = claim if isinstance(claim, (int, float)) and not isinstance(claim, bool) else -1
    return number if 0 <= number <= MAX_NUMERIC_DATE else None
