"""Login tokens: how long an access token lives, by what it says of itself, which is a hint."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.model import SECOND

from .bluesky_login import ACCESS, REFRESHES, LyingBluesky, jwt, session
from .internet import NOW
from .raw import respond

HALF_AN_HOUR = 1800
DAY = 24 * 3600

NO_TIMES: tuple[object, ...] = (None, True, str(NOW), [NOW], {}, -1, 10**12, 10**30, -(10**30))
LIVES: dict[str, tuple[dict[str, object] | bytes, float]] = {
    "by our clock": ({"exp": NOW + 7200}, 7200),
    "by both": ({"exp": NOW + 7200, "iat": NOW}, 7200),
    **{
        f"issued {off} s from now": ({"exp": NOW + off + 7200, "iat": NOW + off}, 7200)
        for off in (-315_360_000, -86_400, -10_800, -3600, 3600, 86_400, 315_360_000)
    },
    "a second": ({"exp": NOW + 1, "iat": NOW}, 1),
    "15 minutes": ({"exp": NOW + 900, "iat": NOW}, 900),
    "a day": ({"exp": NOW + DAY, "iat": NOW}, DAY),
    "a day and a second": ({"exp": NOW + DAY + 1, "iat": NOW}, DAY),
    "30 days": ({"exp": NOW + 30 * DAY, "iat": NOW}, DAY),
    "31 days": ({"exp": NOW + 31 * DAY, "iat": NOW}, HALF_AN_HOUR),
    "since 1970": ({"exp": NOW + 60, "iat": 0}, 60),
    "with fractions": ({"exp": NOW + 60.5, "iat": NOW + 0.25}, 60.25),
    "a float": ({"exp": float(NOW + 60), "iat": NOW}, 60),
    "as short as nothing": ({"exp": NOW + 60, "iat": NOW + 60}, 60),
    "nothing, and over": ({"exp": NOW - 60, "iat": NOW - 60}, HALF_AN_HOUR),
    "half a second": ({"exp": NOW + 0.5, "iat": NOW}, HALF_AN_HOUR),
    "backwards": ({"exp": NOW + 60, "iat": NOW + 90}, 60),
    "backwards, and over": ({"exp": NOW - 60, "iat": NOW}, HALF_AN_HOUR),
    "over, and no beginning": ({"exp": NOW - 60}, HALF_AN_HOUR),
    "too long, and no beginning": ({"exp": NOW + 31 * DAY}, HALF_AN_HOUR),
    "no end": ({"iat": NOW}, HALF_AN_HOUR),
    "in milliseconds": ({"exp": (NOW + 60) * 1000, "iat": NOW * 1000}, HALF_AN_HOUR),
    **{
        f"an end of {end!r:.20}": ({"exp": end, "iat": NOW}, HALF_AN_HOUR) for end in (*NO_TIMES, 0)
    },
    **{
        f"a beginning of {begin!r:.20}": ({"exp": NOW + 60, "iat": begin}, 60)
        for begin in (*NO_TIMES, 10**400)
    },
    "no number": (b'{"exp": NaN, "iat": NaN}', HALF_AN_HOUR),
    "endless": (b'{"exp": Infinity, "iat": -Infinity}', HALF_AN_HOUR),
    "large": (b'{"exp": 1e999}', HALF_AN_HOUR),
    "of 5000 digits": (b'{"exp":' + b"9" * 5000 + b"}", HALF_AN_HOUR),
    "a list": (b"[]", HALF_AN_HOUR),
    "a text": (b'"exp"', HALF_AN_HOUR),
    "no UTF-8": (b"\xff\xfe", HALF_AN_HOUR),
    "deep": (b"[" * 4000, HALF_AN_HOUR),
}


@pytest.mark.parametrize(("claims", "seconds"), LIVES.values(), ids=LIVES.keys())
async def test_an_access_token_lives_from_when_it_came(
    bluesky: LyingBluesky, claims: object, seconds: float
) -> None:
    """For its own lifetime, independent of the server's clock; half an hour, where that makes no
    sense."""
    answer = respond(session(accessJwt=jwt(claims, "x")))
    login = await bluesky.log_in(answer)
    assert login.session.expires_at == int((NOW + seconds) * SECOND)
    Timestamp().FromMicroseconds(login.session.expires_at)
    bluesky.server.on(REFRESHES, answer)
    refreshed = await bluesky.platform.refresh(login.session, login.account)
    assert refreshed.session.expires_at == login.session.expires_at


@pytest.mark.parametrize(
    "access",
    ["opaque", "a.b.c", "....", ACCESS.rpartition(".")[0], f"{ACCESS}.d", "e30.e30.e30", "todo"],
)
async def test_a_token_may_be_opaque(bluesky: LyingBluesky, access: str) -> None:
    """It counts for half an hour."""
    login = await bluesky.log_in(respond(session(accessJwt=access)))
    assert login.session.expires_at == (NOW + HALF_AN_HOUR) * SECOND


async def test_a_scope_in_a_list_is_none(bluesky: LyingBluesky) -> None:
    await bluesky.log_in(respond(session(accessJwt=jwt({"scope": ["com.atproto.access"]}, "x"))))
