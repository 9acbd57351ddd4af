"""Login answers: a 200 may still prove nothing, and what it opened is closed again."""

import asyncio
import json
from typing import Any

import pytest

from service.domain.errors import PlatformUnavailable
from service.domain.model import Account, PlatformUnavailableCause
from service.platforms.bluesky.adapter import BlueskyPlatform

from .bluesky_login import (
    ACCESS,
    CREATE,
    CREDENTIALS,
    DID,
    HANDLE,
    PASSWORD,
    REFRESH,
    REFRESHES,
    LyingBluesky,
    jwt,
    refused,
    session,
)
from .internet import WEB, Internet, document
from .raw import DEADLINE_SECONDS, Answer, RawServer, close_after, hang, head, respond
from .watch import Watch

BEARER = [f"Bearer {REFRESH}"]

GOOD: dict[str, dict[str, Any]] = {
    "bare": {},
    "active": {"active": True},
    "not said to be active": {"active": None, "status": None},
    "a status without more": {"status": "deactivated"},
    "active in a text": {"active": "true"},
    "inactive in a text": {"active": "false", "status": "deactivated"},
    "active in a number": {"active": 0},
    "active in a list": {"active": [False]},
    "not said to be active at all": {"active": ...},
    "a status of another type": {"active": True, "status": {"active": False}},
    "the handle that is none": {"handle": "handle.invalid"},
    "another handle": {"handle": "bob.example.com"},
    "no document": {"didDoc": ...},
    "an empty document": {"didDoc": {}},
    "a document of another type": {"didDoc": []},
    "no handle": {"handle": ...},
    "a handle of another type": {"handle": 5},
    "half a surrogate": {"handle": "\ud800"},
    "an e-mail of another type": {"email": [], "emailConfirmed": "true", "emailAuthFactor": 1},
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


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "text/html", "", "\xff"]
)
async def test_a_session_is_recognised_by_its_content(
    bluesky: LyingBluesky, status: int, kind: str
) -> None:
    """With any content type, and any status that means success."""
    login = await bluesky.log_in(respond(session(), status, content_type=kind))
    assert login.session.refresh_token == REFRESH
    marked = b"\xef\xbb\xbf" + json.dumps(session(), indent=1).encode() + b"\r\n"
    await bluesky.log_in(respond(marked, status, content_type=kind))
    assert bluesky.ended == []


@pytest.mark.parametrize(
    ("handle", "reported"),
    [
        (HANDLE, HANDLE),
        ("Alice.Example.COM", HANDLE),
        ("bob.example.com", "bob.example.com"),
        ("alice.test", "alice.test"),
        ("handle.invalid", "handle.invalid"),
        ("", ""),
        ("alice", ""),
        (f"@{HANDLE}", ""),
        (DID, ""),
        ("a" * 300 + ".com", ""),
        ("\u212a.example.com", ""),
        ("\ud800.example.com", ""),
        (None, ""),
        (5, ""),
        ([HANDLE], ""),
        (..., ""),
    ],
)
async def test_the_handle_of_an_answer_is_a_hint(
    bluesky: LyingBluesky, handle: object, reported: str
) -> None:
    """It is reported if it is a handle, and changes nothing else."""
    answer = respond(session(handle=handle))
    login = await bluesky.log_in(answer)
    assert (login.reported_username, login.account.username) == (reported, HANDLE)
    bluesky.server.on(REFRESHES, answer)
    refreshed = await bluesky.platform.refresh(login.session, login.account)
    assert refreshed.reported_username == reported


async def test_a_login_stays_where_it_was_sent(bluesky: LyingBluesky, trap: RawServer) -> None:
    """A document in the answer that names another server leads nothing there, now or later."""
    answer = session(didDoc=document(DID, HANDLE, trap.origin))
    login = await bluesky.log_in(respond(answer, location=trap.origin))
    await bluesky.platform.log_out(login.session, login.account)
    assert bluesky.ended == BEARER


@pytest.mark.parametrize("host", ["pds.example.com", "xn--bcher-kva.example.com"])
async def test_a_login_at_an_untrusted_server_is_guarded(internet: Internet, host: str) -> None:
    """Over TLS, at the address that was checked; a name that moves to a private one is refused."""
    internet.site(host, CREATE, respond(session(), connection="close"))
    account = Account(DID, HANDLE, f"https://{host}")
    platform = BlueskyPlatform(internet.context())
    assert (await platform.log_in(CREDENTIALS, account)).secret == PASSWORD
    assert internet.dialled == [(WEB, 443)]
    internet.dns.say(host, "A", "127.0.0.1")
    with pytest.raises(PlatformUnavailable) as caught:
        await platform.log_in(CREDENTIALS, account)
    assert caught.value.why == "forbidden_address"
    assert internet.web.times(CREATE) == 1


WHOLE = json.dumps(session())
NO_SESSION: dict[str, Answer] = {
    "HTML": respond("<html>hello</html>"),
    "HTML, said to be JSON": respond("<html>", content_type="application/json"),
    "nothing": respond(""),
    "nothing, said to be JSON": respond("", content_type="application/json"),
    "no content": head(204),
    "null": respond("null", content_type="application/json"),
    "an object of nothing": respond({}),
    "deep": respond('{"didDoc":' + "[" * 50_000, content_type="application/json"),
    "a long number": respond('{"did":' + "1" * 50_000 + "}", content_type="application/json"),
    "no refresh token": respond(session(refreshJwt=...)),
    "a refresh token of another type": respond(session(refreshJwt={"token": REFRESH})),
    "a refresh token of null": respond(session(refreshJwt=None)),
    "a megabyte": respond(session(accessJwt="x" * 1_000_000)),
    "packed": respond(session(), content_encoding="deflate"),
}
"""And nothing that could be ended."""
HALF_A_SESSION: dict[str, Answer] = {
    "a list": respond([session()]),
    "an object around it": respond({"data": session()}),
    "more after it": respond(f"{WHOLE}}}"),
    "twice": respond(WHOLE * 2),
    "a comment before it": respond(f"// session\n{WHOLE}"),
    "a comma too many": respond(f"{WHOLE[:-1]},}}"),
    "no end": respond(WHOLE[:-1]),
    "too deep": respond(f'{WHOLE[:-1]}, "didDoc": {"[" * 50_000}'),
    "no access token": respond(session(accessJwt=...)),
    "an access token of another type": respond(session(accessJwt=[ACCESS])),
    "an access token of null": respond(session(accessJwt=None)),
    "no DID": respond(session(did=...)),
    "a DID of another type": respond(session(did=5)),
    "a DID of null": respond(session(did=None)),
    "the DID twice": respond(f'{WHOLE[:-1]}, "did": 5}}'),
}
"""Wrong, and its refresh token can be read."""


@pytest.mark.parametrize("answer", NO_SESSION.values(), ids=NO_SESSION.keys())
async def test_what_is_no_session_proves_nothing(
    bluesky: LyingBluesky, watch: Watch, answer: Answer
) -> None:
    """Not JSON, or of the wrong shape: PLATFORM_UNAVAILABLE."""
    assert isinstance(await refused(bluesky, watch, answer), PlatformUnavailable)
    assert bluesky.ended == []


@pytest.mark.parametrize("is_proof", [False, True], ids=["connect", "check"])
@pytest.mark.parametrize("status", [200, 201, 206])
@pytest.mark.parametrize("answer", HALF_A_SESSION.values(), ids=HALF_A_SESSION.keys())
@pytest.mark.slow
async def test_a_session_that_cannot_be_used_is_ended(
    bluesky: LyingBluesky, watch: Watch, answer: bytes, status: int, is_proof: bool
) -> None:
    """PLATFORM_UNAVAILABLE, and to try again is not advised: each try would be a login."""
    answer = answer.replace(b"200", str(status).encode(), 1)
    error = await refused(bluesky, watch, answer, is_proof=is_proof)
    assert isinstance(error, PlatformUnavailable)
    assert (error.cause, error.retry_after) == (PlatformUnavailableCause.UNEXPECTED_ANSWER, None)
    assert bluesky.ended == BEARER


@pytest.mark.slow
async def test_an_answer_that_is_short_by_any_number_of_bytes(
    bluesky: LyingBluesky, watch: Watch
) -> None:
    """Its session is ended once the refresh token is whole."""
    whole = json.dumps(session(handle=..., did=...)).encode()[:-1] + f',"did":"{DID}"}}'.encode()
    readable = whole.index(REFRESH.encode()) + len(REFRESH) + 1
    for size in range(len(whole)):
        before = len(bluesky.ended)
        error = await refused(bluesky, watch, respond(whole[:size]))
        assert isinstance(error, PlatformUnavailable)
        assert error.retry_after is None
        assert len(bluesky.ended) - before == (size >= readable)
    await bluesky.log_in(respond(whole))
    assert set(bluesky.ended) == set(BEARER)


async def test_an_answer_that_is_cut_off_at_any_byte_proves_nothing(
    bluesky: LyingBluesky, watch: Watch
) -> None:
    """What it opened is ended, once as much as the whole refresh token has come."""
    whole = respond(session())
    has_come = whole.index(REFRESH.encode()) + len(REFRESH) + 1
    for size in range(0, len(whole), 7):
        before = len(bluesky.ended)
        error = await refused(bluesky, watch, close_after(whole[:size]))
        assert isinstance(error, PlatformUnavailable)
        await bluesky.tasks.drain(DEADLINE_SECONDS)
        assert len(bluesky.ended) - before == (size >= has_come), size


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        respond(session(didDoc={"x": "y" * 200_000})),
        close_after(respond(session())[:-5]),
        respond(session(), 500),
        hang(respond(session())[:-5]),
    ],
    ids=["too large", "cut off", "with an error's status", "never at its end"],
)
async def test_what_an_answer_has_opened_is_ended_although_it_cannot_be_taken(
    bluesky: LyingBluesky, answer: Answer
) -> None:
    """The refresh token has arrived; it makes no difference if the caller cancels."""
    with pytest.raises((PlatformUnavailable, TimeoutError)):
        async with asyncio.timeout(1):
            await bluesky.log_in(answer)
    await bluesky.tasks.drain(DEADLINE_SECONDS)
    assert bluesky.ended == [f"Bearer {REFRESH}"]


@pytest.mark.parametrize(
    "unused",
    [b'"x": "\xe9"', b'"x": ' + b"9" * 5000, b'"didDoc": []', b'"emailConfirmed": "true"'],
    ids=["a byte that is no UTF-8", "a number that is too long", "a list", "a text"],
)
async def test_a_field_that_is_not_used_spoils_nothing(
    bluesky: LyingBluesky, unused: bytes
) -> None:
    """With any value."""
    login = await bluesky.log_in(respond(WHOLE.encode()[:-1] + b", " + unused + b"}"))
    assert login.session.refresh_token == REFRESH
