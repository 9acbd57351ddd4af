"""Bluesky's answers: what they mean, by status, XRPC error and the few fields that we use.

Nothing else in an answer is judged, its content type included: servers differ in the rest.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn, Self

import httpx

from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.domain.model import (
    SECOND,
    AccountStatus,
    InvalidCredentialsCause,
    Micros,
    PlatformUnavailableCause,
    Refreshed,
    Session,
)
from service.domain.platform import SessionEnded
from service.platforms.bluesky import json_text, words
from service.platforms.bluesky.card import CARD, HELP_URL
from service.platforms.bluesky.handles import is_handle
from service.platforms.bluesky.identity import odd_status
from service.platforms.bluesky.limits import limit_seconds, retry_after_seconds
from service.platforms.bluesky.tokens import claims, expires_at, is_usable
from service.platforms.egress.dns import NameNotFound

MAIN_PASSWORD_SCOPE = "com.atproto.access"  # noqa: S105 - a scope's name
INVALID_HANDLE = "handle.invalid"
"""What a server calls an account whose handle does not lead to it."""
MAX_DISPLAY_NAME = 640
MAX_MESSAGE = 200
MAX_OPENED = 8
"""An answer that has more refresh tokens is made up."""
REFRESH_TOKEN = re.compile(rb'"refreshJwt"\s*:\s*"([\x21\x23-\x5b\x5d-\x7e]{1,8192})"')
ACCOUNT_STATUSES = {
    "deactivated": AccountStatus.DEACTIVATED,
    "suspended": AccountStatus.SUSPENDED,
    "takendown": AccountStatus.TAKEN_DOWN,
    "deleted": AccountStatus.NOT_FOUND,
}


class XrpcAnswer:
    """An account server's answer to a call, whatever it is. It holds no request."""

    def __init__(self, status: int, headers: httpx.Headers, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        return cls(response.status_code, response.headers, response.content)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def is_refusal(self) -> bool:
        """Whether it is an error of the 4xx that is not a limit."""
        return 400 <= self.status <= 499 and not self.is_limit

    @property
    def is_limit(self) -> bool:
        return self.status == 429 or (self.status >= 400 and self.error == words.LIMIT)

    @cached_property
    def body(self) -> Mapping[str, Any]:
        """The JSON object in it; empty, where there is none."""
        try:
            body = json_text.parse(self.content)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def error(self) -> str:
        """The name of the XRPC error; empty, where there is none."""
        error = self.body.get("error")
        return error if isinstance(error, str) else ""

    @property
    def message(self) -> str:
        """What the error says to people. Without a JSON object, that is the whole text."""
        message = (
            self.body.get("message", "") if self.body else self.content.decode("utf-8", "replace")
        )
        return message.strip() if isinstance(message, str) else ""


def invalid(cause: InvalidCredentialsCause) -> InvalidCredentials:
    return InvalidCredentials(CARD.platform, CARD.display_name, cause, help_url=HELP_URL)


def login(answer: XrpcAnswer, did: str, now: Micros, *, is_proof: bool) -> Session:
    """The session of *did* that createSession has opened.

    *is_proof*: a refusal counts as a proof against a stored password. Only an XRPC error whose name
    says that identifier and password were refused is one. Else what other servers are known to say
    of a wrong password is enough, too.

    Raises InvalidCredentials, AccountInactive, PlatformRateLimited and PlatformUnavailable.
    """
    if answer.error in words.SECOND_FACTOR:
        # asked for main passwords only, by whatever status
        raise invalid(InvalidCredentialsCause.MAIN_PASSWORD)
    if answer.status in words.REFUSED_STATUSES and answer.error in words.REFUSED:
        raise invalid(InvalidCredentialsCause.REJECTED_BY_PLATFORM)
    if not is_proof and (_sounds_refused(answer) or _is_null_session(answer)):
        raise invalid(InvalidCredentialsCause.REJECTED_BY_PLATFORM)
    if answer.is_refusal and answer.error in words.INACTIVE:
        raise AccountInactive(CARD.platform, words.INACTIVE[answer.error])
    session = _session(answer, did, now)
    if MAIN_PASSWORD_SCOPE in _scopes(session.access_token):
        raise invalid(InvalidCredentialsCause.MAIN_PASSWORD)
    if status := _inactive(answer.body):
        raise AccountInactive(CARD.platform, status)
    return session


def refreshed(answer: XrpcAnswer, did: str, now: Micros) -> Refreshed:
    """The next tokens of a session of *did*.

    Raises SessionEnded where the server refreshes it no more, which proves nothing else;
    PlatformRateLimited and PlatformUnavailable.
    """
    if answer.is_refusal and _has_ended(answer):
        raise SessionEnded
    session = _session(answer, did, now)
    return Refreshed(session, _inactive(answer.body), username(answer))


def username(answer: XrpcAnswer) -> str:
    """The handle in an answer; empty, where it is none. It is a hint, and not proved."""
    handle = answer.body.get("handle")
    if not isinstance(handle, str) or not handle.isascii():
        return ""
    handle = handle.lower()
    return handle if handle == INVALID_HANDLE or is_handle(handle, test_names=True) else ""


def opened(answer: XrpcAnswer) -> list[Session]:
    """What an answer has opened, to be ended, whatever else is wrong with the answer.

    One session, but where the answer holds several refresh tokens. They are found in an answer of
    another status, and in one that is no JSON object of the right form, too. None is of those that
    cannot be sent back.
    """
    access, refresh = answer.body.get("accessJwt"), answer.body.get("refreshJwt")
    tokens = [token.decode() for token in REFRESH_TOKEN.findall(answer.content)]
    tokens = [refresh] * is_usable(refresh) + tokens
    access = access if is_usable(access) else ""
    return [Session(access, token, 0) for token in list(dict.fromkeys(tokens))[:MAX_OPENED]]


def is_of_another_account(answer: XrpcAnswer, did: str) -> bool:
    told = answer.body.get("did")
    return isinstance(told, str) and told != did


def wants_access_token(answer: XrpcAnswer) -> bool:
    """Whether deleteSession has refused the refresh token, as servers do that want the other."""
    return answer.is_refusal and answer.error in words.WRONG_TOKEN


def check_logged_out(answer: XrpcAnswer, now: Micros) -> None:
    """Raise PlatformUnavailable or PlatformRateLimited unless deleteSession has worked."""
    if not answer.is_success:
        refuse_status(answer, now)


def refuse_call(error: Exception) -> NoReturn:
    """Raise what a call without an answer means."""
    if isinstance(error, ServiceError):
        raise error
    if isinstance(error, NameNotFound):
        raise error.refusal() from None
    raise PlatformUnavailable(
        PlatformUnavailableCause.UNEXPECTED_ANSWER, type(error).__name__
    ) from None


def refuse_status(answer: XrpcAnswer, now: Micros) -> NoReturn:
    """Raise what an answer of such a status means, whatever was asked.

    Where waiting helps, the wait is the server's own Retry-After, if it sent one.
    """
    if answer.is_limit:
        wait = limit_seconds(answer.headers, now)
        raise PlatformRateLimited(CARD.platform, CARD.display_name, wait)
    error = odd_status(answer.status)
    if error.retry_after is not None and (asked := retry_after_seconds(answer.headers, now)):
        error.retry_after = asked
        error.pause_until = now + int(asked * SECOND)
    raise error


def account_status(answer: XrpcAnswer, did: str) -> AccountStatus:
    """What getRepoStatus says of *did*; UNKNOWN, where it says nothing of it."""
    if answer.status in (400, 403, 404, 410) and answer.error in words.ACCOUNT_STATUSES:
        return words.ACCOUNT_STATUSES[answer.error]
    said = answer.message.replace(did, "{did}", 1)
    if answer.is_refusal and said in words.ACCOUNT_STATUS_MESSAGES:
        return words.ACCOUNT_STATUS_MESSAGES[said]
    if not answer.is_success or answer.body.get("did") != did:
        return AccountStatus.UNKNOWN  # not every server software has this call
    active, named = answer.body.get("active"), answer.body.get("status")
    if active is True:
        return AccountStatus.ACTIVE
    if active is False and isinstance(named, str):
        return ACCOUNT_STATUSES.get(named.lower(), AccountStatus.UNKNOWN)
    return AccountStatus.UNKNOWN


def display_name(record: bytes) -> str | None:
    """The name in a profile's record."""
    try:
        value: Any = json_text.parse(record)
        name = value["value"]["displayName"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(name, str):
        return None
    shown = "".join(character for character in name if character.isprintable()).strip()
    return shown[:MAX_DISPLAY_NAME] or None


def _has_ended(answer: XrpcAnswer) -> bool:
    said = answer.error, answer.message
    if said == words.BODY_REFUSED:
        return False  # by a proxy that adds one
    names = words.ENDED | words.INACTIVE.keys()
    # a 401 in XRPC's form is about the token, whatever name the server has for that
    is_about_token = answer.status == 401 and answer.error not in ("", words.NO_TOKEN)
    return answer.error in names or is_about_token


def _session(answer: XrpcAnswer, did: str, now: Micros) -> Session:
    if not answer.is_success:
        refuse_status(answer, now)
    access, refresh = answer.body.get("accessJwt"), answer.body.get("refreshJwt")
    if is_of_another_account(answer, did):
        why = "another_account"
    elif answer.body.get("did") == did and is_usable(access) and is_usable(refresh):
        return Session(access, refresh, expires_at(access, now))
    else:
        why = "wrong_shape" if answer.body else "not_json"
    raise PlatformUnavailable(PlatformUnavailableCause.UNEXPECTED_ANSWER, why, retry_after=None)


def _inactive(body: Mapping[str, Any]) -> str:
    """The status of an account that is not active, in a word that we know; else empty.

    Only a plain false says that it is not: servers that leave `active` out, or write it otherwise,
    have answered with a session all the same.
    """
    if body.get("active") is not False:
        return ""
    told = body.get("status")
    status = told.lower() if isinstance(told, str) else ""
    return status if status in ACCOUNT_STATUSES else "inactive"


def _sounds_refused(answer: XrpcAnswer) -> bool:
    """Whether it says in its own words, to people, that the password is wrong."""
    if not 400 <= answer.status < 600 or answer.is_limit:
        return False
    if (answer.status, answer.error, answer.message) in words.REFUSED_MESSAGES:
        return True
    said = f"{answer.error} {answer.message}"
    is_short = len(said) <= MAX_MESSAGE and "<" not in said  # and no web page
    return is_short and bool(words.SOUNDS_REFUSED.search(said))


def _scopes(token: str) -> list[str]:
    scope = claims(token).get("scope")
    return scope.split() if isinstance(scope, str) else []


def _is_null_session(answer: XrpcAnswer) -> bool:
    tokens = [answer.body.get(name, "") for name in ("accessJwt", "refreshJwt")]
    return answer.status == 200 and tokens == [None, None]
