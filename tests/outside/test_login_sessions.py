"""Login sessions: one that is not kept is ended at its server, and the verdict stands."""

import asyncio

import pytest

from service.errors import AccountInactive, InvalidCredentials, PlatformUnavailable, ServiceError
from service.platforms import bluesky as adapter

from .bluesky_login import (
    ACCESS,
    DELETE,
    DID,
    MAIN,
    OTHER_DID,
    PASSWORD,
    REFRESH,
    LyingBluesky,
    refused,
    session,
    xrpc,
)
from .raw import ENOUGH_SECONDS, Answer, close_after, drip, hang, head, respond
from .watch import Watch

BEARER = [f"Bearer {REFRESH}"]
BAD_TOKENS = ("", " ", "a b", "a\nb", "a\r\nx-evil: 1", "a\tb", "\0", "\x7f", "é", "x" * 8193)


async def test_the_sdk_is_loaded_once(
    bluesky: LyingBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first of those who come before it is there; a thread for each would take turns."""
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


async def test_another_accounts_session_is_ended(bluesky: LyingBluesky, watch: Watch) -> None:
    """A server that logs in somebody else proves nothing, and keeps no session of ours."""
    for did in (OTHER_DID, DID.upper(), f"{DID} ", "did:web:example.com"):
        error = await refused(bluesky, watch, respond(session(did=did)))
        assert (type(error), error.why) == (PlatformUnavailable, "another_account")
    assert bluesky.ended == BEARER * 4


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("deactivated", "deactivated"),
        ("suspended", "suspended"),
        ("takendown", "takendown"),
        ("deleted", "deleted"),
        ("throttled", "inactive"),
        ("<script>", "inactive"),
        ("", "inactive"),
        (None, "inactive"),
        (..., "inactive"),
    ],
)
async def test_an_account_that_is_not_active_is_refused(
    bluesky: LyingBluesky, watch: Watch, told: object, status: str
) -> None:
    """ACCOUNT_INACTIVE with a status that we know, and the session is ended."""
    answer = respond(session(active=False, status=told))
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
    assert bluesky.ended == BEARER
    told = [event["event"] for event in watch.events]
    works = deletion == DELETIONS["works"]
    assert told == ([] if works else ["session not ended at the server"])


@pytest.mark.parametrize("deletion", ENDLESS.values(), ids=ENDLESS.keys())
async def test_a_server_that_hangs_does_not_cost_the_verdict(
    bluesky: LyingBluesky, watch: Watch, monkeypatch: pytest.MonkeyPatch, deletion: Answer
) -> None:
    """It comes at once; ending the session has a bound of its own."""
    assert adapter.LOG_OUT_SECONDS <= 5
    monkeypatch.setattr(adapter, "LOG_OUT_SECONDS", 1.0)  # in which it is at least asked
    bluesky.server.on(DELETE, deletion)
    with pytest.raises(InvalidCredentials):
        await bluesky.log_in(respond(session(accessJwt=MAIN)))
    assert bluesky.ended == []
    async with asyncio.timeout(ENOUGH_SECONDS):
        error = await refused(bluesky, watch, respond(session(accessJwt=MAIN)))
    assert isinstance(error, InvalidCredentials)
    assert error.metadata["cause"] == "MAIN_PASSWORD"
    assert [event["event"] for event in watch.events] == ["session not ended at the server"] * 2
    await bluesky.server.all_hung_up()


async def test_a_log_out_takes_the_refresh_token(bluesky: LyingBluesky, watch: Watch) -> None:
    """And nothing else; what goes wrong with it is told without it."""
    login = await bluesky.log_in(respond(session()))
    await bluesky.platform.log_out(login.session, bluesky.server.origin)
    assert bluesky.server.requests[-1].body == b""
    for answer in (xrpc(400, REFRESH), xrpc(401, "AuthenticationRequired"), respond("", 503)):
        bluesky.server.on(DELETE, answer)
        with pytest.raises(ServiceError) as caught:
            await bluesky.platform.log_out(login.session, bluesky.server.origin)
        assert watch.finds([PASSWORD, ACCESS, REFRESH], caught.value) == []
    assert bluesky.ended == BEARER * 4
