"""Bluesky's tokens: opaque by the specification. What a JWT says of itself is a hint, no more."""

import base64
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from service.domain.model import DAY, SECOND, Micros
from service.platforms.bluesky import json_text

TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
"""What can be sent back in a header."""
MIN_LIFE_SECONDS = 1
MAX_LIFE_SECONDS = 30 * 24 * 3600
"""A token that says that it lives longer is not believed."""
OPAQUE_LIFE: Micros = 30 * 60 * SECOND
MAX_LIFE: Micros = DAY
LATEST_TIME = 253_402_300_799
"""The end of the year 9999, in seconds."""


def is_usable(token: object) -> TypeGuard[str]:
    """Whether *token* is a text that can be sent back in a header."""
    return isinstance(token, str) and bool(TOKEN.fullmatch(token))


def expires_at(token: str, now: Micros) -> Micros:
    """When an access token that came *now* expires, by our clock.

    It lives for `exp - iat`, so the server's clock does not matter. Where these make no sense, it
    lives until `exp` by our clock. A life that is not from 1 s to 30 days makes no sense; the token
    then counts as opaque, and lives for 30 minutes. After 24 hours it counts as expired.
    """
    said = claims(token)
    expires, issued = _time(said.get("exp")), _time(said.get("iat"))
    if expires is not None:
        for since in (issued, now / SECOND):
            if since is not None and MIN_LIFE_SECONDS <= expires - since <= MAX_LIFE_SECONDS:
                return now + min(int((expires - since) * SECOND), MAX_LIFE)
    return now + OPAQUE_LIFE


def claims(token: str) -> Mapping[str, Any]:
    """What a JWT says, unverified; nothing, where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        said = json_text.parse(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _time(claim: object) -> float | None:
    """A NumericDate, which may have a fraction. True is an int, too."""
    number = claim if isinstance(claim, (int, float)) and not isinstance(claim, bool) else -1
    return number if 0 <= number <= LATEST_TIME else None
