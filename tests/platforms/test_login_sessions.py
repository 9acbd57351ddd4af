"""Login sessions: one that is not kept is ended at its server, and the verdict stands."""

import asyncio
from typing import Any

import pytest

from service.domain import logout
from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.domain.model import Account, AccountStatus, PlatformUnavailableStep, Session
from service.domain.platform import SessionEnded
from service.platforms.bluesky import adapter

from .bluesky_login import (
    ACCESS,
    DELETE,
    DID,
    MAIN,
    OTHER_DID,
    PASSWORD,
    REFRESH,
    REFRESHES,
    STANDING,
    LyingBluesky,
    refused,
    session,
    xrpc,
)
from .raw import DEADLINE_SECONDS, Answer, close_after, drip, hang, head, respond
from .watch import Watch

BEARER = [f"Bearer {REFRESH}"]
BAD_TOKENS = ("", " ", "a b", "a\nb", "a\r\nx-evil: 1", "a\tb", "\0", "\x7f", "é", "x" * 8193)


async def test_the_sdk_is_loaded_once(
    bluesky: LyingBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first of the concurrent callers, in one thread."""
    loads, load = [], adapter._load_sdk

    def counted() -> object:
        loads.append(1)
        return load()

    monkeypatch.setattr(adapter, "_load_sdk", counted)
    await asyncio.gather(*(bluesky.platform.warm_up() for _ in range(3)))
    await bluesky.platform.warm_up()
    assert loads == [1]


@pytest.mark.parametrize("token", BAD_TOKENS, ids=lambda token: ascii(token[:12]))
async def test_a_token_that_fits_no_header_is_none(
    bluesky: LyingBluesky, watch: Watch, token: str
) -> None:
    """Spaces, line ends, other letters, or too many; what can be ended of the session is."""
    error = await refused(bluesky, watch, respond(session(refreshJwt=token)))
    assert (type(error), error.why) == (PlatformUnavailable, "wrong_shape")
    assert bluesky.ended == []
    error = await refused(bluesky, watch, respond(session(accessJwt=token)))
    assert (type(error), error.why) == (PlatformUnavailable, "wrong_shape")
    assert bluesky.ended == BEARER


async def test_refreshes_that_cannot_be_used(bluesky: LyingBluesky, watch: Watch) -> None:
    """The next session is ended where it is another account's; the stored one never is."""
    stored = Session("access", REFRESH, 0)
    theirs = "next"
    cases: tuple[tuple[dict[str, Any], str, list[str]], ...] = (
        ({"did": OTHER_DID, "refreshJwt": theirs}, "another_account", [f"Bearer {theirs}"]),
        (
            {"did": OTHER_DID, "refreshJwt": theirs, "accessJwt": ...},
            "another_account",
            [f"Bearer {theirs}"],
        ),
        ({"did": OTHER_DID, "refreshJwt": "a b"}, "another_account", []),
        ({"did": OTHER_DID, "refreshJwt": REFRESH}, "another_account", []),
        ({"did": ..., "refreshJwt": theirs}, "wrong_shape", []),
        ({"did": 5, "refreshJwt": theirs}, "wrong_shape", []),
        ({"refreshJwt": theirs, "accessJwt": ...}, "wrong_shape", []),
        ({"refreshJwt": theirs, "accessJwt": "a\nb"}, "wrong_shape", []),
        ({"refreshJwt": "a b"}, "wrong_shape", []),
    )
    for fields, why, ended in cases:
        bluesky.server.on(REFRESHES, respond(session(**fields)))
        before = len(bluesky.ended)
        with pytest.raises(PlatformUnavailable) as caught:
            await bluesky.platform.refresh(stored, bluesky.account)
        assert (caught.value.why, caught.value.retry_after) == (why, None)
        assert await bluesky.tasks.drain(DEADLINE_SECONDS) == 0
        assert bluesky.ended[before:] == ended
    assert watch.finds([ACCESS, REFRESH]) == []


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    "name",
    [
        *("ExpiredToken", "InvalidToken", "AuthenticationRequired", "AuthenticationFailed"),
        *("AuthRequired", "InvalidRequest", "AccountTakedown", "AccountDeactivated"),
    ],
)
async def test_a_session_that_can_no_longer_be_refreshed(
    bluesky: LyingBluesky, name: str, status: int
) -> None:
    """By the server's error, with any status; that proves nothing else."""
    bluesky.server.on(REFRESHES, xrpc(status, name))
    with pytest.raises(SessionEnded):
        await bluesky.platform.refresh(Session("access", "old", 0), bluesky.account)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (respond("<html>log in</html>", 401), None),
        (respond("<html>are you human?</html>", 403), None),
        (respond("", 400), None),
        (xrpc(401, "AuthMissing"), None),
        (xrpc(400, "MethodNotImplemented"), None),
        (xrpc(404, "NotFound"), None),
        (xrpc(501, "MethodNotImplemented"), None),
        (xrpc(500, "ExpiredToken"), 30),
        (respond("", 503, retry_after="600"), 600),
    ],
)
async def test_a_refresh_that_proves_nothing(
    bluesky: LyingBluesky, answer: bytes, seconds: float | None
) -> None:
    """Not even that the session has ended."""
    bluesky.server.on(REFRESHES, answer)
    with pytest.raises(PlatformUnavailable) as caught:
        await bluesky.platform.refresh(Session("access", "old", 0), bluesky.account)
    assert caught.value.retry_after == seconds
    assert caught.value.step is PlatformUnavailableStep.SERVER


async def test_a_401_in_the_protocols_form_ends_the_session(bluesky: LyingBluesky) -> None:
    """With any error name: the token is rejected, and a login opens another session."""
    bluesky.server.on(REFRESHES, xrpc(401, "Unauthorized"))
    with pytest.raises(SessionEnded):
        await bluesky.platform.refresh(Session("access", "old", 0), bluesky.account)


@pytest.mark.parametrize(
    "answer", [respond("", 404), respond("", 405), respond("", 501), xrpc(400, "InvalidRequest")]
)
async def test_a_server_without_account_statuses(bluesky: LyingBluesky, answer: bytes) -> None:
    """It has no such method: that is no outage, and no proof."""
    bluesky.server.on(STANDING, answer)
    assert await bluesky.platform.account_status(bluesky.account) is AccountStatus.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        *(respond("<html>"), respond("<html>", 401), respond("<html>", 403), respond("{}")),
        *(respond("", 500), respond("<html>", 502), respond("", 503, retry_after="600")),
        respond({"did": OTHER_DID, "active": True}),
        respond({"did": DID, "active": False, "status": "asleep"}),
        respond("", 302, location="https://portal.example/"),
        respond("x" * 600_000),
        respond("", content_encoding="gzip"),
    ],
)
async def test_an_account_status_that_is_not_stated(bluesky: LyingBluesky, answer: bytes) -> None:
    """The server, or something before it, answers something else: a login may find out more."""
    bluesky.server.on(STANDING, answer)
    assert await bluesky.platform.account_status(bluesky.account) is AccountStatus.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (respond("", 429), PlatformRateLimited),
        (close_after(b""), PlatformUnavailable),
        (close_after(head(content_length="90") + b"{"), PlatformUnavailable),
        (close_after(b"not HTTP"), PlatformUnavailable),
    ],
)
async def test_an_account_status_without_an_answer(
    bluesky: LyingBluesky, answer: Answer, error: type[ServiceError]
) -> None:
    """A limit, and a connection that is lost, are what they are to any other call."""
    bluesky.server.on(STANDING, answer)
    with pytest.raises(error) as caught:
        await bluesky.platform.account_status(bluesky.account)
    assert caught.value.retry_after is not None


async def test_another_accounts_session_is_ended(bluesky: LyingBluesky, watch: Watch) -> None:
    """A server that logs in another account proves nothing, and keeps no session of ours."""
    for did in (OTHER_DID, DID.upper(), f"{DID} ", "did:web:example.com"):
        error = await refused(bluesky, watch, respond(session(did=did)))
        assert (type(error), error.why) == (PlatformUnavailable, "another_account")
    assert bluesky.ended == BEARER * 4


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("deactivated", "deactivated"),
        ("suspended", "suspended"),
        ("takendown", "takendown"),
        ("deleted", "deleted"),
        ("Deactivated", "deactivated"),
        ("throttled", "inactive"),
        ("migrated", "inactive"),
        (["deactivated"], "inactive"),
        ("<script>", "inactive"),
        ("", "inactive"),
        (None, "inactive"),
        (..., "inactive"),
    ],
)
async def test_an_account_that_is_not_active_is_refused(
    bluesky: LyingBluesky, watch: Watch, given: object, status: str
) -> None:
    """ACCOUNT_INACTIVE with a status that we know, and the session is ended."""
    answer = respond(session(active=False, status=given))
    error = await refused(bluesky, watch, answer)
    assert isinstance(error, AccountInactive)
    assert error.metadata["status"] == status
    assert bluesky.ended == BEARER


DELETIONS: dict[str, Answer] = {
    "works": respond(""),
    "is refused": xrpc(400, "InvalidToken"),
    "fails": respond(PASSWORD, 500),
    "is limited": xrpc(429, "RateLimitExceeded"),
    "leads elsewhere": respond("", 307, location="http://127.0.0.1:1/"),
    "quotes the token": xrpc(400, REFRESH),
    "is cut off": close_after(b""),
}
ENDLESS: dict[str, Answer] = {
    "says nothing": hang(),
    "says half": hang(head(content_length="9") + b"{"),
    "drips": drip(head(content_length="99999"), b"x", 0.01),
}


@pytest.mark.parametrize("deletion", DELETIONS.values(), ids=DELETIONS.keys())
async def test_a_main_password_is_refused_however_its_session_ends(
    bluesky: LyingBluesky, watch: Watch, deletion: Answer
) -> None:
    """The verdict stands; a session that could not be ended is logged."""
    bluesky.server.on(DELETE, deletion)
    error = await refused(bluesky, watch, respond(session(accessJwt=MAIN)))
    assert isinstance(error, InvalidCredentials)
    assert error.metadata["cause"] == "MAIN_PASSWORD"
    # what refuses the refresh token may want the access token
    both = deletion == DELETIONS["is refused"]
    assert bluesky.ended == ([*BEARER, f"Bearer {MAIN}"] if both else BEARER)
    logged = [event["event"] for event in watch.events]
    works = deletion == DELETIONS["works"]
    assert logged == ([] if works else ["session not ended at the server"])


@pytest.mark.slow
@pytest.mark.parametrize("deletion", ENDLESS.values(), ids=ENDLESS.keys())
async def test_a_server_that_hangs_does_not_cost_the_verdict(
    bluesky: LyingBluesky, watch: Watch, monkeypatch: pytest.MonkeyPatch, deletion: Answer
) -> None:
    """It comes at once; ending the session has a bound of its own."""
    assert logout.LOGOUT_TIMEOUT_SECONDS <= 5
    monkeypatch.setattr(logout, "LOGOUT_TIMEOUT_SECONDS", 1.0)  # in which it is at least asked
    bluesky.server.on(DELETE, deletion)
    with pytest.raises(InvalidCredentials):
        await bluesky.log_in(respond(session(accessJwt=MAIN)))
    assert bluesky.ended == []
    async with asyncio.timeout(DEADLINE_SECONDS):
        error = await refused(bluesky, watch, respond(session(accessJwt=MAIN)))
    assert isinstance(error, InvalidCredentials)
    assert error.metadata["cause"] == "MAIN_PASSWORD"
    assert [event["event"] for event in watch.events] == ["session not ended at the server"] * 2
    await bluesky.server.all_hung_up()


async def test_a_log_out_takes_the_refresh_token(bluesky: LyingBluesky, watch: Watch) -> None:
    """Errors do not contain it, and prove nothing about the credentials."""
    login = await bluesky.log_in(respond(session()))
    await bluesky.platform.log_out(login.session, Account("", "", bluesky.server.origin))
    assert bluesky.server.requests[-1].body == b""
    for answer in (xrpc(400, REFRESH), xrpc(401, "AuthenticationRequired"), respond("", 503)):
        bluesky.server.on(DELETE, answer)
        with pytest.raises(PlatformUnavailable) as caught:
            await bluesky.platform.log_out(login.session, Account("", "", bluesky.server.origin))
        assert watch.finds([PASSWORD, ACCESS, REFRESH], caught.value) == []
    assert bluesky.ended == BEARER * 4


@pytest.mark.parametrize("name", ["InvalidToken", "AuthenticationFailed"])
async def test_a_log_out_takes_the_access_token_where_it_is_wanted(
    bluesky: LyingBluesky, name: str
) -> None:
    """By servers that refuse the refresh token; where neither is taken, the session stays open."""
    both = [*BEARER, f"Bearer {ACCESS}"]
    bluesky.server.on(DELETE, xrpc(400, name), respond(""))
    await bluesky.platform.log_out(
        Session(ACCESS, REFRESH, 0), Account("", "", bluesky.server.origin)
    )
    assert bluesky.ended == both
    bluesky.server.on(DELETE, xrpc(400, name))
    with pytest.raises(PlatformUnavailable):
        await bluesky.platform.log_out(
            Session(ACCESS, REFRESH, 0), Account("", "", bluesky.server.origin)
        )
    assert bluesky.ended == both * 2
