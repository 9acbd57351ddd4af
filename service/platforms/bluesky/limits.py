"""Bluesky's limits: how long an answer's headers ask us to wait.

The headers, and the forms of each:

    Retry-After                                 seconds, or a date
    RateLimit-Reset, X-RateLimit-Reset          seconds from now, a time since 1970, or a date
    RateLimit                                   `limit=9, remaining=0, reset=40`, or one or more of
                                                `"name";r=0;t=40`
    RateLimit-Remaining, X-RateLimit-Remaining  a number

- A 429 waits for the longest of all that make sense, or 60 s: a login made too early is lost, and
  an account has few of them a day.
- Other statuses that may pass wait for Retry-After alone. The other headers come with every answer.
- After any answer to a login, a limit of which 0 remain counts until its reset, or for 60 s.

A time in the past, zero and a negative number make no sense. Every wait is from 1 s to 24 h.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from service.domain.model import SECOND, Micros

MAX_WAIT_SECONDS = 24 * 3600.0
DEFAULT_WAIT_SECONDS = 60.0
MIN_TIME = 1e8
"""Smaller numbers are lengths: as a time, this is in 1973; as a length, it is three years."""
MAX_TIME = 1e11
"""Larger numbers are times in milliseconds, or in yet smaller units."""
YEAR_SECONDS = 366 * 24 * 3600.0
MAX_VALUE_LENGTH = 64
NUMBER = re.compile(r"[0-9]{1,40}(\.[0-9]{1,9})?", re.ASCII)
NONE_LEFT = re.compile(r"0+(\.0+)?|-[0-9]+(\.[0-9]+)?", re.ASCII)
PARAMETER = re.compile(r"\b(remaining|reset|r|t)=(-?[0-9]{1,40})", re.ASCII)

Clocks = Sequence[float]
"""Our time, and the server's if it sent a Date. A server's times are by its own clock."""
Limit = Mapping[str, str]


def limit_seconds(headers: httpx.Headers, now: Micros) -> float:
    """How long a 429 asks us to wait."""
    clocks = _clocks(headers, now)
    waits = [*_retry_after(headers, clocks), *_resets(_limits(headers), clocks)]
    return _bounded(max(waits, default=DEFAULT_WAIT_SECONDS))


def retry_after_seconds(headers: httpx.Headers, now: Micros) -> float | None:
    """How long the header Retry-After asks us to wait, if it does."""
    waits = list(_retry_after(headers, _clocks(headers, now)))
    return _bounded(max(waits)) if waits else None


def pause_until(headers: httpx.Headers, now: Micros) -> Micros | None:
    """Until when no further login is allowed, if the answer says that none remains."""
    spent = [limit for limit in _limits(headers) if NONE_LEFT.fullmatch(limit.get("remaining", ""))]
    if not spent:
        return None
    wait = max(_resets(spent, _clocks(headers, now)), default=DEFAULT_WAIT_SECONDS)
    return now + int(_bounded(wait) * SECOND)


def _retry_after(headers: httpx.Headers, clocks: Clocks) -> Iterator[float]:
    for value in headers.get_list("retry-after"):
        number = _number(value)
        # by the standard a number is a length, but some servers send the time
        is_length = number is not None and abs(_as_time(number) - clocks[0]) > YEAR_SECONDS
        if wait := number if is_length else _wait(value, clocks):
            yield wait


def _resets(limits: Iterable[Limit], clocks: Clocks) -> Iterator[float]:
    for limit in limits:
        if wait := _wait(limit.get("reset", ""), clocks):
            yield wait


def _limits(headers: httpx.Headers) -> Iterator[Limit]:
    """The limits in the headers: what remains of each, and its reset, where they are told."""
    for prefix in ("ratelimit", "x-ratelimit"):
        left = headers.get_list(f"{prefix}-remaining")
        remaining = next(filter(NONE_LEFT.fullmatch, left), "")
        for reset in headers.get_list(f"{prefix}-reset") or [""]:
            yield {"remaining": remaining, "reset": reset}
    long = {"r": "remaining", "t": "reset"}
    for value in headers.get_list("ratelimit"):
        # the older form separates the parameters of one limit by commas, the newer one the limits
        for part in value.split(",") if ";" in value else [value]:
            yield {long.get(name, name): told for name, told in PARAMETER.findall(part)}


def _wait(value: str, clocks: Clocks) -> float | None:
    """The seconds from now that *value* tells, as a length or a time; none unless in the future."""
    number = _number(value)
    if number is not None and number < MIN_TIME:
        return number or None
    time = _date(value) if number is None else _as_time(number)
    if time is None:
        return None
    # by our clock or the server's own: one of them may be wrong, and the sooner one does less harm
    return min((time - clock for clock in clocks if time > clock), default=None)


def _number(value: str) -> float | None:
    """The number in *value*; the largest, where a header came several times and was joined."""
    numbers = [part.strip().strip('"') for part in value[:MAX_VALUE_LENGTH].split(",")]
    return max(map(float, numbers)) if all(map(NUMBER.fullmatch, numbers)) else None


def _as_time(number: float) -> float:
    while number >= MAX_TIME:
        number /= 1000
    return number


def _date(value: str) -> float | None:
    """The time of a date as HTTP or ISO 8601 writes it, in seconds since 1970."""
    if not value.isascii() or len(value) > MAX_VALUE_LENGTH:
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = parse(value.strip())
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            return (date - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _clocks(headers: httpx.Headers, now: Micros) -> Clocks:
    date = _date(headers.get("date", ""))
    return (now / SECOND,) if date is None else (now / SECOND, date)


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), MAX_WAIT_SECONDS)
