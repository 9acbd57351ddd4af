"""Login refusals: what each status and error of the account's server means, and what it shows."""

import json
import logging

import pytest

from service.domain.errors import AccountInactive, InvalidCredentials, PlatformUnavailable
from service.domain.model import PlatformUnavailableStep
from service.platforms.egress import pool
from service.platforms.egress.origin import Origin

from .bluesky_login import (
    ACCESS,
    CREATE,
    DID,
    PASSWORD,
    REFRESH,
    LyingBluesky,
    refused,
    session,
    xrpc,
)
from .internet import Internet
from .raw import Answer, RawServer, close_after, drip, hang, head, respond
from .watch import Watch

SOON = 30
NO_PROOF = {
    "401, HTML": (respond("<html>AuthenticationRequired</html>", 401), "status_401", None),
    "401, empty": (respond("", 401), "status_401", None),
    "401, text": (respond("AuthenticationRequired", 401), "status_401", None),
    "401, a JSON text": (respond('"AuthenticationRequired"', 401), "status_401", None),
    "401, a list": (respond(["AuthenticationRequired"], 401), "status_401", None),
    "401, no error": (respond({"message": "AuthenticationRequired"}, 401), "status_401", None),
    "401, a list as error": (xrpc(401, ["AuthenticationRequired"]), "status_401", None),
    "401, an object as error": (
        xrpc(401, {"error": "AuthenticationRequired"}),
        "status_401",
        None,
    ),
    "401, null": (xrpc(401, None), "status_401", None),
    "401, other capitals": (xrpc(401, "authenticationrequired"), "status_401", None),
    "401, more letters": (xrpc(401, "AuthenticationRequired2"), "status_401", None),
    "401, another error": (xrpc(401, "InvalidToken"), "status_401", None),
    "401, expired": (xrpc(401, "ExpiredToken"), "status_401", None),
    "401, no token": (xrpc(401, "AuthMissing"), "status_401", None),
    "401, a proxy's": (xrpc(401, "Unauthorized"), "status_401", None),
    "401, deep": (respond("[" * 100_000, 401), "status_401", None),
    "401, half": (respond('{"error":"AuthenticationRequired"', 401), "status_401", None),
    "401, more after it": (
        respond('{"error":"AuthenticationRequired"}}', 401),
        "status_401",
        None,
    ),
    "401, cut off": (
        close_after(head(401, content_length="90") + b'{"error":"AuthenticationRequired"}'),
        "RemoteProtocolError",
        SOON,
    ),
    "401, packed": (
        xrpc(401, "AuthenticationRequired", content_encoding="gzip"),
        "encoded",
        None,
    ),
    "400": (xrpc(400, "InvalidRequest"), "status_400", None),
    "400, expired": (xrpc(400, "ExpiredToken"), "status_400", None),
    "400, not served": (xrpc(400, "MethodNotImplemented"), "status_400", None),
    "402": (xrpc(402, "AuthenticationRequired"), "status_402", None),
    "403, a challenge": (respond("<html>Are you human?</html>", 403), "status_403", None),
    "403, another error": (xrpc(403, "Forbidden"), "status_403", None),
    "404": (xrpc(404, "NotFound"), "status_404", None),
    "404, in the words of a 401": (xrpc(404, "AuthenticationRequired"), "status_404", None),
    "405": (respond("", 405), "status_405", None),
    "407": (xrpc(407, "AuthenticationRequired"), "status_407", None),
    "408": (respond("", 408), "status_408", SOON),
    "409": (xrpc(409, "Conflict"), "status_409", None),
    "410": (respond("", 410), "status_410", None),
    "413": (xrpc(413, "PayloadTooLarge"), "status_413", None),
    "425": (respond("", 425), "status_425", SOON),
    "451": (xrpc(451, "AuthenticationRequired"), "status_451", None),
    "500": (xrpc(500, "InternalServerError"), "status_500", SOON),
    "500, in the words of a 401": (xrpc(500, "AuthenticationRequired"), "status_500", SOON),
    "501": (xrpc(501, "MethodNotImplemented"), "status_501", None),
    "502": (respond("<html>Bad Gateway</html>", 502), "status_502", SOON),
    "503": (respond("", 503), "status_503", SOON),
    "504": (respond("", 504), "status_504", SOON),
    "505": (respond("", 505), "status_505", None),
    "522": (respond("", 522), "status_522", SOON),
    "999": (xrpc(999, "AuthenticationRequired"), "status_999", SOON),
    "200, an error": (xrpc(200, "AuthenticationRequired"), "wrong_shape", None),
    "closed": (close_after(b""), "RemoteProtocolError", SOON),
    "no HTTP": (close_after(b"220 mail.example.com ESMTP\r\n\r\n"), "RemoteProtocolError", SOON),
    "a megabyte": (respond("x" * 1_000_000, 401), "too_large", None),
}
MESSAGES = {
    "InvalidRequest without more": respond({"error": "InvalidRequest"}, 400),
    "InvalidRequest": respond({"error": "InvalidRequest", "message": "invalid credentials"}, 400),
    "AuthMissing": respond(
        {"error": "AuthMissing", "message": "invalid identifier or password"}, 401
    ),
    "text": respond("incorrect identifier or password", 401),
    "tokens of null": respond(session(accessJwt=None, refreshJwt=None)),
}


async def test_the_watch_is_awake(watch: Watch) -> None:
    """It finds a secret in a message, in a cause, in what is not hidden, and in a log."""
    error = ValueError(PASSWORD)
    assert watch.finds([PASSWORD], error)
    try:
        raise error
    except ValueError:
        hidden, open_ = RuntimeError(), RuntimeError()
        hidden.__context__ = open_.__context__ = error
        hidden.__suppress_context__ = True
    assert not watch.finds([PASSWORD], hidden)
    assert watch.finds([PASSWORD], open_)
    logging.getLogger("any.library").debug("said %s", PASSWORD)
    assert watch.finds([PASSWORD])


@pytest.mark.parametrize("is_proof", [False, True], ids=["connect", "check"])
@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    "name", ["AuthenticationRequired", "AuthenticationFailed", "InvalidCredentials"]
)
async def test_a_wrong_password_is_rejected_by_the_platform(
    bluesky: LyingBluesky, watch: Watch, name: str, status: int, is_proof: bool
) -> None:
    """By an XRPC error that says so: INVALID_CREDENTIALS, and a proof."""
    error = await refused(bluesky, watch, xrpc(status, name), is_proof=is_proof)
    assert isinstance(error, InvalidCredentials)
    assert error.metadata == {"platform": "bluesky", "cause": "REJECTED_BY_PLATFORM"}
    [request] = bluesky.server.requests
    assert json.loads(request.body) == {"identifier": DID, "password": PASSWORD}
    assert request.values("authorization") == []


@pytest.mark.parametrize("answer", MESSAGES.values(), ids=MESSAGES.keys())
async def test_the_wording_of_a_known_server_is_no_proof(
    bluesky: LyingBluesky, watch: Watch, answer: Answer
) -> None:
    """A connect is rejected for a wrong password; a stored one is not invalidated."""
    error = await refused(bluesky, watch, answer)
    assert error.metadata.get("cause") == "REJECTED_BY_PLATFORM"
    error = await refused(bluesky, watch, answer, is_proof=True)
    assert isinstance(error, PlatformUnavailable)
    assert error.retry_after is None
    assert bluesky.ended == []


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422, 500])
async def test_a_second_factor_is_asked_of_main_passwords_alone(
    bluesky: LyingBluesky, watch: Watch, status: int
) -> None:
    """AuthFactorTokenRequired, with any status: the password is a main one."""
    error = await refused(bluesky, watch, xrpc(status, "AuthFactorTokenRequired"))
    assert isinstance(error, InvalidCredentials)
    assert error.metadata["cause"] == "MAIN_PASSWORD"


@pytest.mark.parametrize("status", [400, 401, 403, 410])
@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("AccountTakedown", "takendown"),
        ("AccountTakenDown", "takendown"),
        ("AccountSuspended", "suspended"),
        ("AccountDeactivated", "deactivated"),
        ("AccountNotApproved", "inactive"),
    ],
)
async def test_an_account_that_its_server_keeps_out_is_inactive(
    bluesky: LyingBluesky, watch: Watch, name: str, reported: str, status: int
) -> None:
    """ACCOUNT_INACTIVE, with the status."""
    error = await refused(bluesky, watch, xrpc(status, name))
    assert isinstance(error, AccountInactive)
    assert error.metadata == {"platform": "bluesky", "status": reported}


@pytest.mark.parametrize("is_proof", [False, True], ids=["connect", "check"])
@pytest.mark.parametrize(("answer", "why", "seconds"), NO_PROOF.values(), ids=NO_PROOF.keys())
async def test_every_other_answer_proves_nothing(
    bluesky: LyingBluesky,
    watch: Watch,
    answer: Answer,
    why: str,
    seconds: float | None,
    is_proof: bool,
) -> None:
    """PLATFORM_UNAVAILABLE, with any wording; with RetryInfo where a retry may help."""
    error = await refused(bluesky, watch, answer, is_proof=is_proof)
    assert isinstance(error, PlatformUnavailable)
    assert (error.why, error.retry_after, error.step) == (
        why,
        seconds,
        PlatformUnavailableStep.SERVER,
    )
    assert bluesky.ended == []


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
async def test_a_password_follows_no_redirect(
    bluesky: LyingBluesky, watch: Watch, trap: RawServer, status: int
) -> None:
    """Neither to another server nor to another path of this one."""
    for target in (f"{trap.origin}{CREATE}", "/elsewhere"):
        error = await refused(bluesky, watch, respond(b"", status, location=target))
        assert (type(error), error.why) == (PlatformUnavailable, "redirect")
    assert {request.path for request in bluesky.server.requests} == {CREATE}


async def test_a_server_that_quotes_the_secret_is_not_quoted(
    bluesky: LyingBluesky, watch: Watch
) -> None:
    """What the answer says reaches neither the error nor the log."""
    for status in (200, 401, 429, 500):
        for body in (
            {"error": "AuthenticationRequired", "message": PASSWORD},
            {"error": PASSWORD, "message": PASSWORD},
            {"password": PASSWORD},
            [PASSWORD],
            PASSWORD,
        ):
            await refused(bluesky, watch, respond(body, status))
            await refused(bluesky, watch, respond(body, status, content_type="application/json"))


@pytest.mark.parametrize(
    "answer",
    [hang(), hang(head(content_length="9") + b"{"), drip(head(content_length="99999"), b"x", 0.01)],
    ids=["says nothing", "says half", "drips"],
)
async def test_a_login_without_end_ends_with_its_caller(
    bluesky: LyingBluesky, watch: Watch, answer: Answer
) -> None:
    """The deadline shows nothing either, and the connection is hung up."""
    with pytest.raises(TimeoutError) as caught:
        async with bluesky.server.deadline_once_called(CREATE):
            await bluesky.log_in(answer)
    assert watch.finds([PASSWORD, ACCESS, REFRESH], caught.value) == []
    await bluesky.server.all_hung_up()


async def test_a_silent_server_proves_nothing(
    bluesky: LyingBluesky, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own bound between two reads is PLATFORM_UNAVAILABLE."""
    monkeypatch.setattr(pool, "READ_SECONDS", 0.05)
    error = await refused(bluesky, watch, hang())
    assert (type(error), error.why) == (PlatformUnavailable, "timeout")


async def test_a_login_lost_on_a_used_connection_is_not_sent_again(
    bluesky: LyingBluesky, watch: Watch, internet: Internet
) -> None:
    """A server that hangs up on a connection kept open may have counted the login."""
    bluesky.server.on("/", respond("hello"))
    await internet.egress.get(Origin.parse(bluesky.server.origin), "/", trusted=True)
    error = await refused(bluesky, watch, close_after(b""))
    assert isinstance(error, PlatformUnavailable)
    assert bluesky.server.connections == 1
