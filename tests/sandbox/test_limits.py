"""Limits: too many calls, as the real server says it (`@atproto/pds` 0.4.217 was asked)."""

import httpx
import pytest

from service.sandbox.faults import LoginWindows, RateLimit
from service.sandbox.server import SandboxServer

from .caller import INVALID_LOGIN, Caller, refusal
from .conftest import Clock

USER = "user.bsky.social"
TOO_MANY = (429, "RateLimitExceeded", "Rate Limit Exceeded")
HOUR = 3600


def limits(answer: httpx.Response) -> tuple[str, ...]:
    """limit, remaining, reset and policy; no retry-after is there."""
    assert "retry-after" not in answer.headers
    names = ("limit", "remaining", "reset", "policy")
    return tuple(answer.headers[f"ratelimit-{name}"] for name in names)


async def test_a_rate_limit_says_when_it_ends(
    caller: Caller, server: SandboxServer, clock: Clock
) -> None:
    """In unix seconds, by the world's clock; no login is spent on it."""
    server.breakages.add(RateLimit(120), method="createSession")

    answer = await caller.log_in(USER)

    assert refusal(answer) == TOO_MANY
    assert limits(answer) == ("30", "0", str(int(clock()) + 120), "30;w=300")
    assert (await caller.resolve(USER)).status_code == 200


async def test_there_are_no_windows_until_they_are_asked_for(caller: Caller) -> None:
    """A sandbox lets its accounts log in as often as they like, and speaks of no limit."""
    for _ in range(31):
        answer = await caller.log_in(USER)
        assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_thirty_logins_in_five_minutes(
    caller: Caller, server: SandboxServer, clock: Clock
) -> None:
    """Good and bad ones count; the window begins with its first login, and ends for all at once."""
    server.breakages.add(LoginWindows())
    end = str(int(clock()) + 300)
    for left in range(29, -1, -1):
        answer = await caller.log_in(USER, "wrong" if left % 2 else "abcd-efgh-ijkl-mnop")
        assert answer.status_code == (401 if left % 2 else 200)
        assert limits(answer) == ("30", str(left), end, "30;w=300")
        clock.at += 1

    answer = await caller.log_in(USER)

    assert (refusal(answer), limits(answer)) == (TOO_MANY, ("30", "0", end, "30;w=300"))
    clock.at += 269
    assert refusal(await caller.log_in(USER)) == TOO_MANY
    clock.at += 1
    assert limits(await caller.log_in(USER))[1] == "29"


async def test_each_spelling_has_its_own_window(caller: Caller, server: SandboxServer) -> None:
    """The real server counts by spelling, and not by account."""
    server.breakages.add(LoginWindows(limit=1))

    assert [(await caller.log_in(USER)).status_code for _ in range(2)] == [200, 429]
    assert (await caller.log_in(USER.upper())).status_code == 200
    assert refusal(await caller.log_in("nobody.test")) == INVALID_LOGIN
    assert refusal(await caller.log_in("nobody.test")) == TOO_MANY


async def test_three_hundred_logins_a_day(
    caller: Caller, server: SandboxServer, clock: Clock
) -> None:
    """However slowly they come."""
    server.breakages.add(LoginWindows())
    end = str(int(clock()) + 24 * HOUR)
    for _ in range(300):
        assert (await caller.log_in(USER, "wrong")).status_code == 401
        clock.at += 100

    answer = await caller.log_in(USER, "wrong")

    assert (refusal(answer), limits(answer)) == (TOO_MANY, ("300", "0", end, "300;w=86400"))


async def test_windows_are_for_logins_alone(caller: Caller, server: SandboxServer) -> None:
    """Other calls, and those that are no login, are not counted."""
    server.breakages.add(LoginWindows(limit=1))

    for _ in range(2):
        assert (await caller.resolve(USER)).status_code == 200
        assert (await caller.http.post("/xrpc/com.atproto.server.createSession")).status_code == 400
    assert (await caller.log_in(USER)).status_code == 200


@pytest.mark.parametrize("seconds", [0, -1, 10**7])
def test_a_limit_ends_some_time(seconds: int) -> None:
    """Neither at once nor never."""
    with pytest.raises(ValueError, match="seconds must be more than 0"):
        RateLimit(seconds)
