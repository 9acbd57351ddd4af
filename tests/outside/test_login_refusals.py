"""Login refusals: what each status and error of the account's server means, and what it shows."""

import json
import logging

import pytest

from service.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
)
from service.platforms import egress
from service.platforms.egress import Origin

from .bluesky_login import ACCESS, CREATE, DID, PASSWORD, REFRESH, LyingBluesky, refused, xrpc
from .internet import NOW, Internet
from .raw import Answer, RawServer, close_after, drip, hang, head, respond
from .watch import Watch

DAY = 24 * 3600

NO_PROOF = {
    "401, HTML": (respond("<html>AuthenticationRequired</html>", 401), "status_401"),
    "401, empty": (respond("", 401), "status_401"),
    "401, text": (respond("AuthenticationRequired", 401), "status_401"),
    "401, a JSON text": (respond('"AuthenticationRequired"', 401), "ModelError"),
    "401, a list": (respond(["AuthenticationRequired"], 401), "ModelError"),
    "401, no error": (respond({"message": "AuthenticationRequired"}, 401), "status_401"),
    "401, a list as error": (xrpc(401, ["AuthenticationRequired"]), "status_401"),
    "401, an object as error": (xrpc(401, {"error": "AuthenticationRequired"}), "status_401"),
    "401, null": (xrpc(401, None), "status_401"),
    "401, other capitals": (xrpc(401, "authenticationrequired"), "status_401"),
    "401, more letters": (xrpc(401, "AuthenticationRequired2"), "status_401"),
    "401, another error": (xrpc(401, "InvalidToken"), "status_401"),
    "401, expired": (xrpc(401, "ExpiredToken"), "status_401"),
    "401, deep": (respond("[" * 100_000, 401), "status_401"),
    "401, half": (respond('{"error":"AuthenticationRequired"', 401), "status_401"),
    "401, cut off": (
        close_after(head(401, content_length="90") + b'{"error":"AuthenticationRequired"}'),
        "RemoteProtocolError",
    ),
    "401, packed": (
        xrpc(401, "AuthenticationRequired", content_encoding="gzip"),
        "encoded",
    ),
    "400": (xrpc(400, "InvalidRequest"), "status_400"),
    "400, in the words of a 401": (xrpc(400, "AuthenticationRequired"), "status_400"),
    "400, expired": (xrpc(400, "ExpiredToken"), "status_400"),
    "402": (xrpc(402, "AuthenticationRequired"), "status_402"),
    "403": (xrpc(403, "AuthenticationRequired"), "status_403"),
    "403, taken down": (xrpc(403, "AccountTakedown"), "status_403"),
    "404": (xrpc(404, "NotFound"), "status_404"),
    "405": (respond("", 405), "status_405"),
    "407": (xrpc(407, "AuthenticationRequired"), "status_407"),
    "408": (respond("", 408), "status_408"),
    "409": (xrpc(409, "Conflict"), "status_409"),
    "410": (respond("", 410), "status_410"),
    "413": (xrpc(413, "PayloadTooLarge"), "status_413"),
    "451": (xrpc(451, "AuthenticationRequired"), "status_451"),
    "500": (xrpc(500, "InternalServerError"), "status_500"),
    "500, in the words of a 401": (xrpc(500, "AuthenticationRequired"), "status_500"),
    "501": (xrpc(501, "MethodNotImplemented"), "status_501"),
    "502": (respond("<html>Bad Gateway</html>", 502), "status_502"),
    "503": (respond("", 503), "status_503"),
    "504": (respond("", 504), "status_504"),
    "522": (respond("", 522), "status_522"),
    "999": (xrpc(999, "AuthenticationRequired"), "status_999"),
    "closed": (close_after(b""), "RemoteProtocolError"),
    "no HTTP": (close_after(b"220 mail.example.com ESMTP\r\n\r\n"), "RemoteProtocolError"),
    "a megabyte": (respond("x" * 1_000_000, 401), "too_large"),
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


async def test_a_wrong_password_is_rejected_by_the_platform(
    bluesky: LyingBluesky, watch: Watch
) -> None:
    """401 AuthenticationRequired, in XRPC JSON, and nothing else: INVALID_CREDENTIALS."""
    error = await refused(bluesky, watch, xrpc(401, "AuthenticationRequired"))
    assert isinstance(error, InvalidCredentials)
    assert error.metadata == {"platform": "bluesky", "cause": "REJECTED_BY_PLATFORM"}
    [request] = bluesky.server.requests
    assert json.loads(request.body) == {"identifier": DID, "password": PASSWORD}
    assert request.values("authorization") == []


async def test_a_second_factor_is_asked_of_main_passwords_alone(
    bluesky: LyingBluesky, watch: Watch
) -> None:
    """AuthFactorTokenRequired: the password is a main one."""
    error = await refused(bluesky, watch, xrpc(401, "AuthFactorTokenRequired"))
    assert isinstance(error, InvalidCredentials)
    assert error.metadata["cause"] == "MAIN_PASSWORD"


async def test_an_account_that_was_taken_down_is_inactive(
    bluesky: LyingBluesky, watch: Watch
) -> None:
    """AccountTakedown: ACCOUNT_INACTIVE, with the status."""
    error = await refused(bluesky, watch, xrpc(401, "AccountTakedown"))
    assert isinstance(error, AccountInactive)
    assert error.metadata == {"platform": "bluesky", "status": "takendown"}


@pytest.mark.parametrize(("answer", "why"), NO_PROOF.values(), ids=NO_PROOF.keys())
async def test_every_other_answer_proves_nothing(
    bluesky: LyingBluesky, watch: Watch, answer: Answer, why: str
) -> None:
    """PLATFORM_UNAVAILABLE, whatever its words are; the login is not tried again."""
    error = await refused(bluesky, watch, answer)
    assert isinstance(error, PlatformUnavailable)
    assert error.why == why
    assert bluesky.ended == []


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (str(NOW + 90), 90),
        (str(NOW + 1), 1),
        (str(NOW), 1),
        (str(NOW - 5000), 1),
        ("0", 1),
        (str(NOW + DAY), DAY),
        (str(NOW + DAY + 1), DAY),
        ("999999999999", DAY),
        ("9" * 40, 60),
        ("-5", 60),
        ("soon", 60),
        ("1e9", 60),
        (f"{NOW + 90}.5", 60),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60),
        ("\u0661\u0662", 60),
        ("", 60),
    ],
)
@pytest.mark.parametrize("body", ["xrpc", "html"])
async def test_a_limit_says_how_long_to_wait(
    bluesky: LyingBluesky, watch: Watch, body: str, reset: str, seconds: float
) -> None:
    """As the header says, a second at least and a day at most; a minute where it says nothing."""
    answer = (
        xrpc(429, "RateLimitExceeded", ratelimit_reset=reset)
        if body == "xrpc"
        else respond("<html>slow down</html>", 429, ratelimit_reset=reset)
    )
    error = await refused(bluesky, watch, answer)
    assert isinstance(error, PlatformRateLimited)
    assert error.retry_after == seconds
    assert error.metadata == {"platform": "bluesky"}


async def test_a_limit_without_a_time_is_a_minutes(bluesky: LyingBluesky, watch: Watch) -> None:
    """No header, two of them, or one that the server never sends: 60 s."""
    twice = xrpc(429, "RateLimitExceeded", ratelimit_reset=str(NOW + 5)).replace(
        b"\r\n\r\n", f"\r\nratelimit-reset: {NOW + 9}\r\n\r\n".encode(), 1
    )
    for answer in (
        xrpc(429, "RateLimitExceeded"),
        twice,
        xrpc(429, "RateLimitExceeded", retry_after="5"),
    ):
        error = await refused(bluesky, watch, answer)
        assert (type(error), error.retry_after) == (PlatformRateLimited, 60)


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
    monkeypatch.setattr(egress, "READ_SECONDS", 0.05)
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
