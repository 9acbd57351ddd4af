"""The cost of logins that do not help: verifies and leases, counted at the server."""

import math
from dataclasses import dataclass

import grpc.aio
import pytest

from service.domain.errors import PlatformUnavailable
from service.domain.model import DAY, SECOND, Micros, PlatformUnavailableCause
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.sandbox.call import Answer, Call
from service.sandbox.faults import (
    AnotherDid,
    AnyStatus,
    Fault,
    NotJson,
    Oversize,
    RateLimit,
    Redirect,
    Reset,
)
from tests.connections import health_support as shared
from tests.connections.health_support import (
    HEALTHY,
    HOUR,
    UNVERIFIED,
    Watched,
    breakages,
    status_of,
)
from tests.connections.test_health_now import MINUTE, press
from tests.support.running import Refusal, refusal_of

sandboxed, timeouts = shared.sandboxed, shared.timeouts
YEAR: Micros = 366 * DAY


@dataclass
class Inactive(Fault):
    """Change the answer to say that the account is deactivated."""

    name = "inactive"

    async def answer(self, call: Call) -> Answer:
        answer = await call.real_answer()
        return answer.with_json(answer.value | {"active": False, "status": "deactivated"})


@pytest.fixture
def by_the_clock(sandboxed: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make backoff use the clock that the tests move."""
    monkeypatch.setattr(
        "service.connections.backoff.monotonic", lambda: sandboxed.clock.now() / SECOND
    )


async def end_sessions(watched: Watched) -> None:
    await watched.bluesky.change_password(watched.person, "another main password")


def wear_out(watched: Watched) -> None:
    """Let the stored token expire; its lifetime is two hours."""
    watched.clock.ahead += 2 * HOUR


async def lease(
    watched: Watched, every: int, times: int = 1, *, rejected: str = ""
) -> list[Refusal | None]:
    """Return the errors of *times* leases in a row, None for a success."""
    refusals: list[Refusal | None] = []
    for _ in range(times):
        watched.clock.ahead += every
        try:
            await watched.service.lease(watched.key, rejected=rejected)
        except grpc.aio.AioRpcError as error:
            refusals.append(refusal_of(error))
        else:
            refusals.append(None)
    return refusals


REFUSED_REFRESHES = {
    "InvalidRequest": AnyStatus(400, "InvalidRequest"),
    "a 401": AnyStatus(401, "Foo"),
    "inactive": Inactive(),
}
refused_refreshes = pytest.mark.parametrize(
    "refusal", REFUSED_REFRESHES.values(), ids=REFUSED_REFRESHES.keys()
)


@refused_refreshes
@pytest.mark.slow
async def test_logins_whose_sessions_are_never_refreshed(
    sandboxed: Watched, refusal: Fault
) -> None:
    """The first two logins are made at once; the next ones back off by 5 and 15 minutes, then 1, 6
    and 24 hours, independent of the number of checks."""
    breakages(sandboxed).add(refusal, method="refreshSession")
    answers = await press(sandboxed, 12)
    assert [status_of(answer) for answer in answers] == [HEALTHY] * 2 + [UNVERIFIED] * 10
    assert await sandboxed.spent() == 2
    await press(sandboxed, 12, every=4 * MINUTE)
    assert await sandboxed.spent() == 4
    for hours, spent in ((1, 5), (5, 5), (2, 6), (22, 6), (3, 7), (21, 7), (3, 8)):
        await press(sandboxed, 3, every=hours * HOUR // 3)
        assert await sandboxed.spent() == spent


@pytest.mark.usefixtures("by_the_clock")
async def test_leases_of_sessions_that_are_never_refreshed(sandboxed: Watched) -> None:
    """The token of the last login is lent until it expires. Rejecting it costs a login, and later
    logins back off."""
    breakages(sandboxed).add(AnyStatus(401, "Foo"), method="refreshSession")
    for _ in range(2):
        wear_out(sandboxed)
        assert await lease(sandboxed, 3 * SECOND, 10) == [None] * 10
    assert await sandboxed.spent() == 2
    assert [status_of(answer) for answer in await press(sandboxed, 5)] == [UNVERIFIED] * 5
    assert await lease(sandboxed, 3 * SECOND, 10) == [None] * 10
    token = sandboxed.service.session().access_token
    refusals = await lease(sandboxed, 4 * SECOND, 50, rejected=token)
    assert {refusal.reason if refusal else "" for refusal in refusals} == {"RATE_LIMIT_EXCEEDED"}
    assert await sandboxed.spent() == 2
    assert await lease(sandboxed, 5 * MINUTE, rejected=token) == [None]
    assert await sandboxed.spent() == 3


@pytest.mark.usefixtures("by_the_clock")
@pytest.mark.parametrize("by", ["a check", "a lease"])
async def test_a_successful_refresh_resets_the_backoff(sandboxed: Watched, by: str) -> None:
    """The next login then counts as the first one."""
    broken = breakages(sandboxed).add(AnyStatus(401, "Foo"), method="refreshSession")
    await press(sandboxed, 5)
    broken.mend()
    if by == "a check":
        assert await sandboxed.verdict(MINUTE) == HEALTHY
    else:
        token = sandboxed.service.session().access_token
        assert await lease(sandboxed, 2 * MINUTE, rejected=token) == [None]
    assert (sandboxed.row["refusals"], sandboxed.row["login_after"]) == (0, None)
    assert sandboxed.row["state"] == "HEALTHY"
    await end_sessions(sandboxed)
    assert await sandboxed.verdict(6 * MINUTE) == HEALTHY
    assert await sandboxed.spent() == 3


PASSING = {
    **{str(status): AnyStatus(status) for status in (500, 502, 503, 504)},
    "reset": Reset(),
}
LASTING = {**{str(status): AnyStatus(status) for status in (501, 505)}, "not JSON": NotJson()}


@pytest.mark.slow
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_logins_without_a_result(sandboxed: Watched, fault: Fault) -> None:
    """They back off by 5, 10 and up to 60 minutes, independent of the number of checks. The next
    login after the outage succeeds."""
    breakages(sandboxed).add(fault, method="createSession")
    await end_sessions(sandboxed)
    for answer in await press(sandboxed, 12):
        assert status_of(answer) == UNVERIFIED
    assert await sandboxed.spent() == 1
    spent = 1
    for minutes in (5, 10, 20, 40, 60, 60):
        await press(sandboxed, 4, every=(minutes - 3) * MINUTE // 4)
        assert await sandboxed.spent() == spent, minutes
        await press(sandboxed, 15, every=MINUTE // 5)
        spent += 1
        assert await sandboxed.spent() == spent, minutes
    breakages(sandboxed).clear()
    assert await sandboxed.verdict(HOUR) == HEALTHY
    assert (await sandboxed.spent(), sandboxed.events()) == (spent + 1, ["UNVERIFIED", "HEALTHY"])


@pytest.mark.slow
@pytest.mark.usefixtures("by_the_clock")
@pytest.mark.parametrize("fault", [AnyStatus(500), AnyStatus(503), Reset()])
async def test_leases_while_logins_have_no_result(sandboxed: Watched, fault: Fault) -> None:
    """A day of leases and verifies in turn, one every five minutes, makes fewer than thirty logins.
    Each error has a retry time."""
    breakages(sandboxed).add(fault, method="createSession")
    await end_sessions(sandboxed)
    wear_out(sandboxed)
    [first] = await lease(sandboxed, SECOND)
    assert first is not None
    assert (first.reason, first.metadata["step"]) == ("PLATFORM_UNAVAILABLE", "SERVER")
    assert first.retry_after is not None
    assert 290 <= first.retry_after <= 300
    for _ in range(23 * 6):
        [refusal] = await lease(sandboxed, 5 * MINUTE)
        assert refusal is not None
        assert refusal.retry_after is not None
        await press(sandboxed, 1, every=5 * MINUTE)
    assert 20 < await sandboxed.spent() < 30


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING.keys())
async def test_logins_with_a_permanent_error(sandboxed: Watched, fault: Fault) -> None:
    """They back off by 1, 6, then 24 hours, as after a rejected password."""
    breakages(sandboxed).add(fault, method="createSession")
    await end_sessions(sandboxed)
    await press(sandboxed, 12)
    for hours, spent in ((0.9, 1), (0.2, 2), (5.5, 2), (1, 3), (23, 3), (2, 4)):
        await press(sandboxed, 4, every=int(hours * HOUR / 4))
        assert await sandboxed.spent() == spent, hours


@pytest.mark.parametrize(
    "cause",
    [
        PlatformUnavailableCause.DNS_FAILURE,
        PlatformUnavailableCause.ADDRESS_NOT_ALLOWED,
        PlatformUnavailableCause.BUSY,
    ],
)
async def test_a_login_that_was_not_sent(
    sandboxed: Watched, cause: PlatformUnavailableCause, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next check tries it again without a backoff."""
    await end_sessions(sandboxed)

    async def failing(*_: object) -> None:
        raise PlatformUnavailable(cause, "test", retry_after=None)

    with monkeypatch.context() as patched:
        patched.setattr(BlueskyPlatform, "log_in_again", failing)
        assert await sandboxed.verdict(3 * SECOND) == UNVERIFIED
    assert await sandboxed.verdict(3 * SECOND) == HEALTHY
    assert await sandboxed.spent() == 1


SAYS_NOTHING = {
    **{str(status): AnyStatus(status) for status in (400, 401, 403, 404, 500, 501, 502, 503)},
    "not JSON": NotJson(),
    "another DID": AnotherDid(),
    "redirect": Redirect("https://elsewhere.example/"),
    "oversize": Oversize(),
}
says_nothing = pytest.mark.parametrize("fault", SAYS_NOTHING.values(), ids=SAYS_NOTHING.keys())


@says_nothing
@pytest.mark.parametrize("by", ["a check", "a lease"])
@pytest.mark.slow
async def test_an_unknown_account_status_blocks_nothing(
    sandboxed: Watched, fault: Fault, by: str
) -> None:
    """A session that has ended is still replaced, by one login."""
    breakages(sandboxed).add(fault, method="getRepoStatus")
    await end_sessions(sandboxed)
    if by == "a check":
        assert [status_of(answer) for answer in await press(sandboxed, 5)] == [HEALTHY] * 5
    else:
        wear_out(sandboxed)
        assert await lease(sandboxed, SECOND, 5) == [None] * 5
    assert await sandboxed.spent() == 1


@says_nothing
@pytest.mark.slow
async def test_a_rejected_login_without_an_account_status_is_no_proof(
    sandboxed: Watched, fault: Fault
) -> None:
    """Further checks stay UNVERIFIED without another login. Once the status is known, one more
    login proves the verdict."""
    breakages(sandboxed).add(fault, method="getRepoStatus")
    await sandboxed.bluesky.revoke(sandboxed.person)
    assert [status_of(answer) for answer in await press(sandboxed, 5)] == [UNVERIFIED] * 5
    assert await sandboxed.spent() == 1
    breakages(sandboxed).clear()
    assert await sandboxed.verdict(HOUR) == ("BROKEN", True, "APP_PASSWORD_REVOKED")
    assert await sandboxed.spent() == 2


@pytest.mark.parametrize("fault", [RateLimit(), Reset()])
async def test_an_account_status_that_is_rate_limited_or_fails_costs_no_login(
    sandboxed: Watched, fault: Fault
) -> None:
    breakages(sandboxed).add(fault, method="getRepoStatus")
    await end_sessions(sandboxed)
    assert [status_of(answer) for answer in await press(sandboxed, 5)] == [UNVERIFIED] * 5
    assert await sandboxed.spent() == 0


@pytest.mark.usefixtures("by_the_clock")
async def test_a_lease_after_an_ambiguous_rejection(sandboxed: Watched) -> None:
    """The error names the server and has no retry time. The errors of later leases say when the
    next login may be tried."""
    breakages(sandboxed).add(AnyStatus(501), method="getRepoStatus")
    breakages(sandboxed).add(AnyStatus(401, "AuthenticationRequired"), method="createSession")
    await end_sessions(sandboxed)
    wear_out(sandboxed)
    [first] = await lease(sandboxed, SECOND)
    assert first is not None
    assert (first.reason, first.retry_after) == ("PLATFORM_UNAVAILABLE", None)
    assert first.metadata["cause"] == "UNEXPECTED_ANSWER"
    assert first.metadata["step"] == "SERVER"
    [later] = await lease(sandboxed, MINUTE)
    assert later is not None
    assert later.reason == "RATE_LIMIT_EXCEEDED"
    assert later.retry_after is not None
    assert 58 * 60 <= later.retry_after <= 59 * 60
    await lease(sandboxed, MINUTE, 50)
    assert await sandboxed.spent() == 1


async def test_a_pause_of_a_wrong_clock_ends_with_it(
    sandboxed: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform limits a login while the clock is ten years ahead; correcting the clock ends the
    pause."""
    breakages(sandboxed).add(RateLimit(), method="createSession")
    await end_sessions(sandboxed)
    assert await sandboxed.verdict(10 * YEAR) == UNVERIFIED
    assert await sandboxed.spent() == 1
    [row] = sandboxed.service.rows("SELECT until FROM login_pauses")
    sandboxed.clock.ahead = 0
    assert row["until"] - sandboxed.clock.now() > 9 * YEAR
    # an hour later by the monotonic clock
    monkeypatch.setattr("service.connections.backoff.monotonic", lambda: math.inf)
    answer = await sandboxed.service.verify(sandboxed.key)
    assert status_of(answer) == UNVERIFIED
    assert await sandboxed.spent() == 2, "the pause of the wrong clock is none"
    assert answer.next_check_at.ToMicroseconds() - sandboxed.clock.now() <= DAY
    [row] = sandboxed.service.rows("SELECT until FROM login_pauses")
    assert 0 < row["until"] - sandboxed.clock.now() <= DAY
    breakages(sandboxed).clear()
    assert await sandboxed.verdict(HOUR) == HEALTHY
    assert await sandboxed.spent() == 3
