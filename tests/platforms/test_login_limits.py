"""Login limits: how long the headers of an answer ask to wait, in each of their forms."""

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from math import inf

import pytest

from service.connections.login_budget import Budget, LoginBudget, LoginBudgets
from service.connections.logins import Logins
from service.connections.platform_calls import PlatformCalls
from service.domain.errors import PlatformRateLimited, PlatformUnavailable, ServiceError
from service.domain.model import SECOND, Login, Micros
from service.domain.steps import PlatformDeadline
from service.runtime.metrics import Metrics
from service.storage.store import SqlStore
from tests.support.engines import opened

from .bluesky_login import CREATE, CREDENTIALS, LyingBluesky, refused, session, xrpc
from .internet import NOW
from .raw import respond
from .watch import Watch

DAY = 24 * 3600
USUAL = 60
BUDGETS = LoginBudgets(Budget(10, 50), Budget(7, 35), Budget(5, 20))


class MovedClock:
    """The internet's clock, *seconds* later."""

    seconds = 0

    def now(self) -> Micros:
        return (NOW + self.seconds) * SECOND


def date(seconds: float) -> str:
    """A time as HTTP writes it."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


TIMES: dict[str, float] = {
    date(NOW + 90): 90,
    datetime.fromtimestamp(NOW + 90, UTC).strftime("%A, %d-%b-%y %H:%M:%S GMT"): 90,
    datetime.fromtimestamp(NOW + 90, UTC).strftime("%a %b %e %H:%M:%S %Y"): 90,
    iso(NOW + 90): 90,
    iso(NOW + 90).replace("+00:00", "Z"): 90,
    iso(NOW + 90).replace("+00:00", ""): 90,
    date(NOW): USUAL,
    date(NOW - 5000): USUAL,
    date(NOW + 2 * DAY): DAY,
    str(NOW + 90): 90,
    f"{NOW + 90}.5": 90.5,
    str((NOW + 90) * 1000): 90,
    str((NOW + 90) * 10**6): 90,
    str((NOW + 90) * 10**9): 90,
    str(NOW + 1): 1,
    str(NOW): USUAL,
    str(NOW - 5000): USUAL,
    str((NOW - 5000) * 1000): USUAL,
    str(NOW + DAY + 1): DAY,
}
LENGTHS = {
    "40": 40,
    "1": 1,
    "0.25": 1,
    "1.5": 1.5,
    "0040": 40,
    str(DAY): DAY,
    str(DAY + 1): DAY,
    "0": USUAL,
    "00": USUAL,
    "99999999": DAY,
}
GARBAGE = ("", "-5", "soon", "1e9", "0x10", "NaN", "inf", "40s", "40;", "\u0661\u0662", "4 0")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [*TIMES.items(), *LENGTHS.items(), *((text, USUAL) for text in GARBAGE)],
    ids=ascii,
)
@pytest.mark.parametrize("header", ["retry_after", "ratelimit_reset", "x_ratelimit_reset"])
@pytest.mark.slow
async def test_a_limit_says_how_long_to_wait(
    bluesky: LyingBluesky, watch: Watch, header: str, value: str, seconds: float
) -> None:
    """As the header says, a second at least and a day at most; a minute where it says nothing."""
    answers = (
        xrpc(429, "RateLimitExceeded", **{header: value}),
        respond("<html>slow down</html>", 429, **{header: value}),
    )
    for answer in answers:
        error = await refused(bluesky, watch, answer)
        assert isinstance(error, PlatformRateLimited)
        assert error.retry_after == seconds
        assert error.metadata == {"platform": "bluesky"}


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        ("retry_after", "999999999", DAY),
        ("retry_after", "999999999999", DAY),
        ("retry_after", "9" * 40, DAY),
        ("retry_after", "9" * 41, USUAL),
        ("ratelimit_reset", "1000000000", USUAL),  # in 2001
        ("ratelimit", "limit=30, remaining=0, reset=40", 40),
        ("ratelimit", "limit=30;remaining=0;reset=40", 40),
        ("ratelimit", '"default";r=0;t=40', 40),
        ("ratelimit", '"minute";r=0;t=40, "day";r=0;t=4000', 4000),
        ("ratelimit", '"default";t=40', 40),
        ("ratelimit", '"default";r=0', USUAL),
        ("ratelimit", "limit=30, remaining=0, reset=-40", USUAL),
        ("ratelimit", '"default";r=0;t=' + "9" * 20, USUAL),
        ("ratelimit", "reset", USUAL),
        ("ratelimit_policy", "30;w=300", USUAL),
    ],
)
async def test_a_limit_in_other_forms(
    bluesky: LyingBluesky, watch: Watch, header: str, value: str, seconds: float
) -> None:
    error = await refused(bluesky, watch, xrpc(429, "RateLimitExceeded", **{header: value}))
    assert (type(error), error.retry_after) == (PlatformRateLimited, seconds)


async def test_of_several_limits_the_longest_counts(bluesky: LyingBluesky, watch: Watch) -> None:
    """In any of the headers; an invalid value does not count."""
    for headers, seconds in (
        ({}, USUAL),
        ({"retry_after": "5", "ratelimit_reset": str(NOW + 90)}, 90),
        ({"retry_after": "90", "ratelimit_reset": str(NOW + 5)}, 90),
        ({"retry_after": "soon", "ratelimit_reset": "5", "x_ratelimit_reset": "7"}, 7),
        ({"retry_after": "5", "ratelimit_reset": str(NOW - 5)}, 5),
        ({"ratelimit": '"a";r=0;t=8', "ratelimit_reset": "9", "ratelimit_remaining": "3"}, 9),
    ):
        error = await refused(bluesky, watch, xrpc(429, "RateLimitExceeded", **headers))
        assert (type(error), error.retry_after) == (PlatformRateLimited, seconds)
    twice = xrpc(429, "RateLimitExceeded", ratelimit_reset=str(NOW + 5)).replace(
        b"\r\n\r\n", f"\r\nratelimit-reset: {NOW + 9}\r\n\r\n".encode(), 1
    )
    assert (await refused(bluesky, watch, twice)).retry_after == 9


@pytest.mark.parametrize("off", [-315_360_000, -7200, 7200, 315_360_000])
async def test_a_server_whose_clock_is_wrong(bluesky: LyingBluesky, watch: Watch, off: int) -> None:
    """Its times are by its own clock, which is in the header Date."""
    theirs = NOW + off
    for headers in (
        {"ratelimit_reset": str(theirs + 300)},
        {"retry_after": date(theirs + 300)},
    ):
        answer = xrpc(429, "RateLimitExceeded", date=date(theirs), **headers)
        assert (await refused(bluesky, watch, answer)).retry_after == 300


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
async def test_an_outage_may_say_how_long_it_lasts(
    bluesky: LyingBluesky, watch: Watch, status: int
) -> None:
    """No login of the account is wanted until then; what the outage says not is 30 s, no pause."""
    cases: tuple[tuple[dict[str, str], float, float | None], ...] = (
        ({"retry_after": "600"}, 600, 600),
        ({"retry_after": date(NOW + 600)}, 600, 600),
        ({"retry_after": str(3 * DAY)}, DAY, DAY),
        ({"retry_after": "0"}, 30, None),
        ({"retry_after": date(NOW - 600)}, 30, None),
        ({"retry_after": "later"}, 30, None),
        ({"ratelimit_reset": "300", "ratelimit_remaining": "2999"}, 30, None),
        ({"retry_after": "20", "ratelimit_reset": "300", "ratelimit_remaining": "0"}, 20, 300),
        ({}, 30, None),
    )
    for headers, seconds, pause in cases:
        error = await refused(bluesky, watch, respond("", status, **headers))
        assert (type(error), error.retry_after) == (PlatformUnavailable, seconds)
        assert error.pause_until == (None if pause is None else (NOW + pause) * SECOND)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 413, 501, 505])
async def test_where_waiting_does_not_help_none_is_advised(
    bluesky: LyingBluesky, watch: Watch, status: int
) -> None:
    error = await refused(bluesky, watch, respond("", status, retry_after="600"))
    assert (type(error), error.retry_after) == (PlatformUnavailable, None)
    assert error.pause_until is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit_remaining": "0", "ratelimit_reset": str(NOW + 300)}, 300),
        ({"ratelimit_remaining": "0", "ratelimit_reset": "300"}, 300),
        ({"ratelimit_remaining": "0", "ratelimit_reset": str((NOW + 300) * 1000)}, 300),
        ({"ratelimit_remaining": "0", "ratelimit_reset": iso(NOW + 300)}, 300),
        ({"ratelimit_remaining": "0", "ratelimit_reset": str(NOW + 3 * DAY)}, DAY),
        ({"ratelimit_remaining": "0", "ratelimit_reset": str(NOW - 300)}, USUAL),
        ({"ratelimit_remaining": "0"}, USUAL),
        ({"ratelimit_remaining": "-1", "ratelimit_reset": "300"}, 300),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "300"}, 300),
        ({"ratelimit": "limit=30, remaining=0, reset=300"}, 300),
        ({"ratelimit": '"minute";r=5;t=9, "day";r=0;t=300'}, 300),
        ({"ratelimit": '"minute";r=0;t=9, "day";r=5;t=300'}, 9),
        ({"ratelimit_remaining": "1", "ratelimit_reset": str(NOW + 300)}, None),
        ({"ratelimit_remaining": "10", "ratelimit_reset": "300"}, None),
        ({"ratelimit_remaining": "none", "ratelimit_reset": "300"}, None),
        ({"ratelimit_reset": "300"}, None),
        ({"ratelimit": '"day";r=10;t=300'}, None),
        ({"retry_after": "300"}, None),
        ({}, None),
    ],
)
async def test_the_last_login_that_is_allowed(
    bluesky: LyingBluesky, watch: Watch, headers: dict[str, str], seconds: int | None
) -> None:
    """Whether it worked or not, no other is wanted until the limit is reset."""
    until = None if seconds is None else (NOW + seconds) * SECOND
    assert (await bluesky.log_in(respond(session(), 200, **headers))).pause_until == until
    error = await refused(bluesky, watch, xrpc(401, "AuthenticationRequired", **headers))
    assert error.pause_until == until


@pytest.mark.parametrize(
    "answer",
    [
        xrpc(429, "RateLimitExceeded", ratelimit_reset="600"),
        xrpc(429, "RateLimitExceeded", retry_after="600"),
        respond("", 503, retry_after="600"),
        respond("", 503, retry_after=date(NOW + 600)),
        xrpc(401, "AuthenticationRequired", ratelimit_remaining="0", ratelimit_reset="600"),
        respond(session(), 200, ratelimit_remaining="0", ratelimit_reset="600"),
        respond(session(active=False), 200, ratelimit_remaining="0", ratelimit_reset="600"),
    ],
)
async def test_no_login_is_made_before_its_server_wants_it(
    bluesky: LyingBluesky, database_url: str, answer: bytes
) -> None:
    """One of four connects reaches the server; the others fail with a time to wait."""
    clock = MovedClock()
    store = SqlStore(await opened(database_url))
    metrics = Metrics()
    logins = Logins(
        LoginBudget(store.login_budget, clock, BUDGETS), clock, PlatformCalls(metrics), metrics
    )
    bluesky.server.on(CREATE, answer)

    async def connect() -> Login:
        login = await logins.log_in(
            "a", bluesky.platform, CREDENTIALS, bluesky.account, PlatformDeadline(inf)
        )
        await logins.note_pause(login)
        return login

    try:
        with suppress(ServiceError):
            await connect()
        for clock.seconds in (0, 300, 599):
            with pytest.raises(PlatformRateLimited) as caught:
                await connect()
            assert caught.value.retry_after == 600 - clock.seconds
        assert bluesky.server.times(CREATE) == 1
        clock.seconds = 600
        with suppress(ServiceError):
            await connect()
        assert bluesky.server.times(CREATE) == 2
    finally:
        await store.close()
