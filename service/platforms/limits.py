"""Limits: how long the headers of a platform's answer ask us to wait.

The headers and their forms:

    Retry-After                                 seconds, or a date
    RateLimit-Reset, X-RateLimit-Reset          seconds from now, a time since 1970, or a date
    RateLimit                                   `limit=9, remaining=0, reset=40`, or one or more of
                                                `"name";r=0;t=40`
    RateLimit-Remaining, X-RateLimit-Remaining  a number

- A 429 waits for the longest valid value, or 60 s: a login that is too early is wasted, and an
  account has few per day.
- Other temporary errors wait for Retry-After only: the other headers are on every answer.
- After any answer to a login, a limit with 0 remaining lasts until its reset, or 60 s.

A time in the past, zero and a negative number are invalid. Every wait is from 1 s to 24 h.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from service.domain.model import SECOND, Micros

MAX_WAIT_SECONDS = 24 * 3600.0
DEFAULT_WAIT_SECONDS = 60.0
MIN_TIMESTAMP = 1e8
"""Smaller numbers are durations. As a time, this is in 1973; as a duration, it is three years."""
MAX_TIMESTAMP = 1e11
"""Larger numbers are times in milliseconds or smaller units."""
YEAR_SECONDS = 366 * 24 * 3600.0
MAX_VALUE_LENGTH = 64
NUMBER = re.compile(r"[0-9]{1,40}(\.[0-9]{1,9})?", re.ASCII)
NONE_LEFT = re.compile(r"0+(\.0+)?|-[0-9]+(\.[0-9]+)?", re.ASCII)
PARAMETER = re.compile(r"\b(remaining|reset|r|t)=(-?[0-9]{1,40})", re.ASCII)

Clocks = Sequence[float]
"""Our time, and the server's if it sent a Date header. Its times are by its own clock."""
Limit = Mapping[str, str]


def limit_seconds(headers: httpx.Headers, now: Micros) -> float:
    """Return how long a 429 asks us to wait, in seconds."""
    clocks = _clocks(headers, now)
    waits = [*_retry_after(headers, clocks), *_resets(_limits(headers), clocks)]
    return _bounded(max(waits, default=DEFAULT_WAIT_SECONDS))


def retry_after_seconds(headers: httpx.Headers, now: Micros) -> float | None:
    """Return the wait of the header Retry-After, in seconds; None without a valid one."""
    waits = list(_retry_after(headers, _clocks(headers, now)))
    return _bounded(max(waits)) if waits else None


def pause_until(headers: httpx.Headers, now: Micros) -> Micros | None:
    """Return when the next login is allowed, if the answer says that none remains now."""
    spent = [limit for limit in _limits(headers) if NONE_LEFT.fullmatch(limit.get("remaining", ""))]
    if not spent:
        return None
    wait = max(_resets(spent, _clocks(headers, now)), default=DEFAULT_WAIT_SECONDS)
    return now + int(_bounded(wait) * SECOND)


def _retry_after(headers: httpx.Headers, clocks: Clocks) -> Iterator[float]:
    for value in headers.get_list("retry-after"):
        number = _number(value)
        # the standard says that a number is a duration, but some servers send a time
        is_duration = number is not None and abs(_as_time(number) - clocks[0]) > YEAR_SECONDS
        if wait := number if is_duration else _wait(value, clocks):
            yield wait


def _resets(limits: Iterable[Limit], clocks: Clocks) -> Iterator[float]:
    for limit in limits:
        if wait := _wait(limit.get("reset", ""), clocks):
            yield wait


def _limits(headers: httpx.Headers) -> Iterator[Limit]:
    """Yield each limit in the headers, with `remaining` and `reset` where they are stated."""
    for prefix in ("ratelimit", "x-ratelimit"):
        left = headers.get_list(f"{prefix}-remaining")
        remaining = next(filter(NONE_LEFT.fullmatch, left), "")
        for reset in headers.get_list(f"{prefix}-reset") or [""]:
            yield {"remaining": remaining, "reset": reset}
    full_names = {"r": "remaining", "t": "reset"}
    for value in headers.get_list("ratelimit"):
        # commas separate the parameters of one limit in the older form, and limits in the newer one
        for part in value.split(",") if ";" in value else [value]:
            yield {full_names.get(name, name): number for name, number in PARAMETER.findall(part)}


def _wait(value: str, clocks: Clocks) -> float | None:
    """Return the seconds from now that *value* states, as a duration or a time in the future."""
    number = _number(value)
    if number is not None and number < MIN_TIMESTAMP:
        return number or None
    time = _date(value) if number is None else _as_time(number)
    if time is None:
        return None
    # by our clock or the server's: either may be wrong, and the shorter wait does less harm
    return min((time - clock for clock in clocks if time > clock), default=None)


def _number(value: str) -> float | None:
    """Return the number in *value*; the largest one, if several headers were joined."""
    numbers = [part.strip().strip('"') for part in value[:MAX_VALUE_LENGTH].split(",")]
    return max(map(float, numbers)) if all(map(NUMBER.fullmatch, numbers)) else None


def _as_time(number: float) -> float:
    while number >= MAX_TIMESTAMP:
        number /= 1000
    return number


def _date(value: str) -> float | None:
    """Parse an HTTP or ISO 8601 date to seconds since 1970; None if it is neither."""
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
