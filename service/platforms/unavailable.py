"""PlatformUnavailable errors for answers that prove nothing, by what is wrong with the answer."""

from typing import Any

import httpx

from service.domain.errors import PlatformUnavailable
from service.domain.model import SECOND, Micros, PlatformUnavailableCause
from service.platforms import json_text
from service.platforms.limits import retry_after_seconds

RETRY_SECONDS = 30


def unexpected(why: str) -> PlatformUnavailable:
    """Return the error for an answer that does not follow the protocol. Waiting does not help."""
    return PlatformUnavailable(PlatformUnavailableCause.UNEXPECTED_ANSWER, why, retry_after=None)


def bad_status(
    status: int, headers: httpx.Headers, now: Micros, *, is_temporary: bool = False
) -> PlatformUnavailable:
    """Return the error for an answer that only its HTTP status explains.

    If waiting helps, the error carries the server's Retry-After, or else 30 s. *is_temporary*:
    waiting helps, although the status alone does not say so.
    """
    is_temporary |= status in (408, 425, 429) or (status >= 500 and status not in (501, 505))
    if status == 429:
        cause = PlatformUnavailableCause.BUSY
    elif status >= 500:
        cause = PlatformUnavailableCause.SERVER_ERROR
    else:
        cause = PlatformUnavailableCause.UNEXPECTED_ANSWER
    error = PlatformUnavailable(cause, f"status_{status}", retry_after=None, http_status=status)
    if is_temporary:
        requested = retry_after_seconds(headers, now)
        error.retry_after = requested or RETRY_SECONDS
        if requested:
            error.pause_until = now + int(requested * SECOND)
    return error


def json_object(content: bytes) -> dict[str, Any]:
    """Parse *content* as a JSON object in UTF-8; raise PlatformUnavailable if it is not one."""
    try:
        value = json_text.parse(content)
    except ValueError:
        raise unexpected("not_json") from None
    if not isinstance(value, dict):
        raise unexpected("wrong_shape")
    return value
