"""Login answers: a 200 may still prove nothing, and what it opened is closed again."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from service.errors import PlatformUnavailable
from service.model import SECOND, Account
from service.platforms.bluesky import BlueskyPlatform

from .bluesky_login import (
    ACCESS,
    CREATE,
    CREDENTIALS,
    DID,
    HANDLE,
    PASSWORD,
    REFRESH,
    LyingBluesky,
    jwt,
    refused,
    session,
)
from .internet import NOW, WEB, Internet, document
from .raw import Answer, RawServer, close_after, head, respond
from .watch import Watch

BEARER = [f"Bearer {REFRESH}"]
HALF_AN_HOUR = NOW + 1800

GOOD: dict[str, dict[str, Any]] = {
    "bare": {},
    "active": {"active": True},
    "not said to be active": {"active": None, "status": None},
    "a status without more": {"status": "deactivated"},
    "the handle that is none": {"handle": "handle.invalid"},
    "another handle": {"handle": "bob.example.com"},
    "no document": {"didDoc": ...},
    "an empty document": {"didDoc": {}},
    "more than is known": {"email": "a@example.com", "emailConfirmed": True, "new": [{"x": 1}]},
    "a privileged password": {"accessJwt": jwt({"scope": "com.atproto.appPassPrivileged"}, "x")},
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD.keys())
async def test_a_login_is_the_account_that_was_identified(
    bluesky: LyingBluesky, watch: Watch, fields: dict[str, Any]
) -> None:
    """Its session and its secret; of what the server says beside it, nothing counts."""
    answer = session(**fields)
    login = await bluesky.log_in(respond(answer))
    assert login.account == Account(DID, HANDLE, bluesky.server.origin)
    assert login.secret == PASSWORD
    assert (login.session.access_token, login.session.refresh_token) == (
        answer["accessJwt"],
        REFRESH,
    )
    assert bluesky.ended == []
    assert watch.finds([PASSWORD, ACCESS, REFRESH]) == []
    assert watch.finds([PASSWORD, ACCESS, REFRESH], Exception(repr(login))) == []


async def test_a_login_stays_where_it_was_sent(bluesky: LyingBluesky, trap: RawServer) -> None:
    """A document in the answer that names another server leads nothing there, now or later."""
    answer = session(didDoc=document(DID, HANDLE, trap.origin))
    login = await bluesky.log_in(respond(answer, location=trap.origin))
    await bluesky.platform.log_out(login.session, login.account.origin)
    assert bluesky.ended == BEARER


@pytest.mark.parametrize("host", ["pds.example.com", "xn--bcher-kva.example.com"])
async def test_a_login_at_anybodys_server_is_guarded(internet: Internet, host: str) -> None:
    """Over TLS, at the address that was checked; a name that moves to a private one is refused."""
    internet.site(host, CREATE, respond(session(), connection="close"))
    account = Account(DID, HANDLE, f"https://{host}")
    platform = BlueskyPlatform(internet.outside())
    assert (await platform.log_in(CREDENTIALS, account)).secret == PASSWORD
    assert internet.dialled == [(WEB, 443)]
    internet.dns.say(host, "A", "127.0.0.1")
    with pytest.raises(PlatformUnavailable) as caught:
        await platform.log_in(CREDENTIALS, account)
    assert caught.value.why == "forbidden_address"
    assert internet.web.times(CREATE) == 1


@pytest.mark.parametrize(
    ("access", "seconds"),
    [
        (ACCESS, NOW + 7200),
        ("opaque", HALF_AN_HOUR),
        ("a.b.c", HALF_AN_HOUR),
        ("....", HALF_AN_HOUR),
        (ACCESS.rpartition(".")[0], HALF_AN_HOUR),
        (f"{ACCESS}.d", HALF_AN_HOUR),
        ("e30.e30.e30", HALF_AN_HOUR),
        (jwt([], "x"), HALF_AN_HOUR),
        (jwt("exp", "x"), HALF_AN_HOUR),
        (jwt(b"\xff\xfe", "x"), HALF_AN_HOUR),
        (jwt(b"[" * 4000, "x"), HALF_AN_HOUR),
        (jwt(b'{"exp":' + b"9" * 5000 + b"}", "x"), HALF_AN_HOUR),
        (jwt({"exp": None}, "x"), HALF_AN_HOUR),
        (jwt({"exp": str(NOW + 60)}, "x"), HALF_AN_HOUR),
        (jwt({"exp": NOW + 0.5}, "x"), HALF_AN_HOUR),
        (jwt({"exp": [NOW]}, "x"), HALF_AN_HOUR),
        (jwt({"exp": True}, "x"), HALF_AN_HOUR),
        (jwt({"exp": 0}, "x"), HALF_AN_HOUR),
        (jwt({"exp": -1}, "x"), HALF_AN_HOUR),
        (jwt(b'{"exp": NaN}', "x"), HALF_AN_HOUR),
        (jwt({"exp": 10**12}, "x"), HALF_AN_HOUR),
        (jwt({"exp": 10**30}, "x"), HALF_AN_HOUR),
        (jwt({"exp": NOW + 60, "scope": ["com.atproto.access"]}, "x"), NOW + 60),
    ],
)
async def test_what_a_token_says_of_itself_is_a_hint(
    bluesky: LyingBluesky, access: str, seconds: int
) -> None:
    """Without a sensible time it counts for half an hour by our clock; nothing breaks on it."""
    login = await bluesky.log_in(respond(session(accessJwt=access)))
    assert login.session.expires_at == seconds * SECOND
    Timestamp().FromMicroseconds(login.session.expires_at)


NO_SESSION: dict[str, Answer] = {
    "HTML": respond("<html>hello</html>"),
    "HTML, said to be JSON": respond("<html>", content_type="application/json"),
    "nothing": respond(""),
    "nothing, said to be JSON": respond("", content_type="application/json"),
    "no content": head(204),
    "JSON, said to be HTML": respond(session(), content_type="text/html"),
    "JSON, said to be nothing": respond(session()).replace(b"content-type", b"x-was"),
    "a list": respond([session()]),
    "null": respond("null", content_type="application/json"),
    "an object of nothing": respond({}),
    "deep": respond('{"didDoc":' + "[" * 50_000, content_type="application/json"),
    "a long number": respond('{"did":' + "1" * 50_000 + "}", content_type="application/json"),
    "half a surrogate": respond(session(handle="\ud800")),
    "no access token": respond(session(accessJwt=...)),
    "no refresh token": respond(session(refreshJwt=...)),
    "no DID": respond(session(did=...)),
    "an access token of another type": respond(session(accessJwt=[ACCESS])),
    "a refresh token of another type": respond(session(refreshJwt={"token": REFRESH})),
    "a DID of another type": respond(session(did=5)),
    "activity of another type": respond(session(active=[ACCESS])),
    "a megabyte": respond(session(accessJwt="x" * 1_000_000)),
    "packed": respond(session(), content_encoding="deflate"),
    "cut off": close_after(respond(session())[:-5]),
}


@pytest.mark.parametrize("answer", NO_SESSION.values(), ids=NO_SESSION.keys())
async def test_what_is_no_session_proves_nothing(
    bluesky: LyingBluesky, watch: Watch, answer: Answer
) -> None:
    """Not JSON, or of the wrong shape: PLATFORM_UNAVAILABLE."""
    assert isinstance(await refused(bluesky, watch, answer), PlatformUnavailable)
