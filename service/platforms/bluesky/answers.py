"""Answers: what an account server's answer means, by status, XRPC error and a few fields.

The rest of an answer, such as its content type, is ignored: servers differ in it.
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
    AccountStatus,
    InvalidCredentialsCause,
    Micros,
    PlatformUnavailableCause,
    Refreshed,
    Session,
)
from service.domain.platform import SessionEnded
from service.platforms import json_text
from service.platforms.bluesky import words
from service.platforms.bluesky.card import CARD
from service.platforms.bluesky.handles import is_handle
from service.platforms.bluesky.tokens import claims, expires_at, is_usable
from service.platforms.egress.dns import NameNotFound
from service.platforms.limits import limit_seconds
from service.platforms.unavailable import bad_status, unexpected

MAIN_PASSWORD_SCOPE = "com.atproto.access"  # noqa: S105 - a scope's name
INVALID_HANDLE = "handle.invalid"
"""A server's placeholder for a handle that does not lead to its account."""
MAX_DISPLAY_NAME_LENGTH = 640
MAX_MESSAGE_LENGTH = 200
MAX_OPENED_SESSIONS = 8
"""No honest server returns more refresh tokens in one answer. Any further ones are ignored."""
REFRESH_TOKEN = re.compile(rb'"refreshJwt"\s*:\s*"([\x21\x23-\x5b\x5d-\x7e]{1,8192})"')


class XrpcAnswer:
    """An account server's answer to a call. It does not hold the request."""

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
    def is_client_error(self) -> bool:
        """Whether the status is 4xx and the error is not a rate limit."""
        return 400 <= self.status <= 499 and not self.is_rate_limit

    @property
    def is_rate_limit(self) -> bool:
        return self.status == 429 or (self.status >= 400 and self.error == words.RATE_LIMIT)

    @cached_property
    def body(self) -> Mapping[str, Any]:
        """The JSON object in the content; empty if there is none."""
        try:
            body = json_text.parse(self.content)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def error(self) -> str:
        """The name of the XRPC error; empty if there is none."""
        error = self.body.get("error")
        return error if isinstance(error, str) else ""

    @property
    def message(self) -> str:
        """The error's message for people. If there is no JSON object, the whole content as text."""
        message = (
            self.body.get("message", "") if self.body else self.content.decode("utf-8", "replace")
        )
        return message.strip() if isinstance(message, str) else ""


def login_session(answer: XrpcAnswer, did: str, now: Micros, *, is_proof: bool) -> Session:
    """Return the session of *did* that createSession opened.

    *is_proof*: a rejection is to prove that a stored password is wrong. Then only the XRPC errors
    in `words.REJECTED` count as a rejection. Otherwise known wordings of any server count too.

    Raises InvalidCredentials, AccountInactive, PlatformRateLimited and PlatformUnavailable.
    """
    if answer.error in words.SECOND_FACTOR:
        # servers ask for a second factor for main passwords only; the status varies
        raise InvalidCredentials(CARD, InvalidCredentialsCause.MAIN_PASSWORD)
    if answer.status in words.REJECTED_STATUSES and answer.error in words.REJECTED:
        raise InvalidCredentials(CARD, InvalidCredentialsCause.REJECTED_BY_PLATFORM)
    if not is_proof and (_sounds_rejected(answer) or _is_null_session(answer)):
        raise InvalidCredentials(CARD, InvalidCredentialsCause.REJECTED_BY_PLATFORM)
    if answer.is_client_error and answer.error in words.INACTIVE_ACCOUNTS:
        raise AccountInactive(CARD.platform, words.INACTIVE_ACCOUNTS[answer.error])
    session = _session(answer, did, now)
    if MAIN_PASSWORD_SCOPE in _scopes(session.access_token):
        raise InvalidCredentials(CARD, InvalidCredentialsCause.MAIN_PASSWORD)
    if status := _inactive_status(answer.body):
        raise AccountInactive(CARD.platform, status)
    return session


def refreshed(answer: XrpcAnswer, did: str, now: Micros) -> Refreshed:
    """Return the next tokens of a session of *did*.

    Raises SessionEnded if the session can no longer be refreshed, which proves nothing else. Raises
    PlatformRateLimited and PlatformUnavailable.
    """
    if answer.is_client_error and _has_ended(answer):
        raise SessionEnded
    session = _session(answer, did, now)
    return Refreshed(session, _inactive_status(answer.body), reported_username(answer))


def reported_username(answer: XrpcAnswer) -> str:
    """Return the handle in an answer, which is not proved; empty if there is no valid one."""
    handle = answer.body.get("handle")
    if not isinstance(handle, str) or not handle.isascii():
        return ""
    handle = handle.lower()
    return handle if handle == INVALID_HANDLE or is_handle(handle, test_names=True) else ""


def opened_sessions(answer: XrpcAnswer) -> list[Session]:
    """Return a session for each refresh token in an answer. The caller ends these sessions.

    Works with any HTTP status, and with content that is not valid JSON. Skips tokens that cannot be
    sent in a header.
    """
    access, refresh = answer.body.get("accessJwt"), answer.body.get("refreshJwt")
    tokens = [token.decode() for token in REFRESH_TOKEN.findall(answer.content)]
    tokens = [refresh] * is_usable(refresh) + tokens
    access = access if is_usable(access) else ""
    return [
        Session(access, token, 0) for token in list(dict.fromkeys(tokens))[:MAX_OPENED_SESSIONS]
    ]


def is_of_another_account(answer: XrpcAnswer, did: str) -> bool:
    named = answer.body.get("did")
    return isinstance(named, str) and named != did


def wants_access_token(answer: XrpcAnswer) -> bool:
    """Whether deleteSession rejected the refresh token because it expects the access token."""
    return answer.is_client_error and answer.error in words.WRONG_TOKEN


def check_logged_out(answer: XrpcAnswer, now: Micros) -> None:
    """Raise PlatformUnavailable or PlatformRateLimited unless deleteSession succeeded."""
    if not answer.is_success:
        raise_status(answer, now)


def raise_call(error: Exception) -> NoReturn:
    """Raise *error* as a ServiceError. The call returned no answer that can be read."""
    if isinstance(error, ServiceError):
        raise error
    if isinstance(error, NameNotFound):
        raise error.unavailable() from None
    raise PlatformUnavailable(
        PlatformUnavailableCause.UNEXPECTED_ANSWER, type(error).__name__
    ) from None


def raise_status(answer: XrpcAnswer, now: Micros) -> NoReturn:
    """Raise PlatformRateLimited or PlatformUnavailable for an answer that is an error."""
    if answer.is_rate_limit:
        wait = limit_seconds(answer.headers, now)
        raise PlatformRateLimited(CARD.platform, CARD.display_name, wait)
    raise bad_status(answer.status, answer.headers, now)


def account_status(answer: XrpcAnswer, did: str) -> AccountStatus:
    """Return the status of *did* by getRepoStatus; UNKNOWN if the answer does not state it."""
    if answer.status in (400, 403, 404, 410) and answer.error in words.ACCOUNT_STATUS_ERRORS:
        return words.ACCOUNT_STATUS_ERRORS[answer.error]
    message = answer.message.replace(did, "{did}", 1)
    if answer.is_client_error and message in words.ACCOUNT_STATUS_MESSAGES:
        return words.ACCOUNT_STATUS_MESSAGES[message]
    if not answer.is_success or answer.body.get("did") != did:
        return AccountStatus.UNKNOWN  # some servers do not have this call
    active, named = answer.body.get("active"), answer.body.get("status")
    if active is True:
        return AccountStatus.ACTIVE
    if active is False and isinstance(named, str):
        return words.ACCOUNT_STATUSES.get(named.lower(), AccountStatus.UNKNOWN)
    return AccountStatus.UNKNOWN


def display_name(record: bytes) -> str | None:
    """Return the printable part of the name in a profile's record; None if there is none."""
    try:
        value: Any = json_text.parse(record)
        name = value["value"]["displayName"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(name, str):
        return None
    shown = "".join(character for character in name if character.isprintable()).strip()
    return shown[:MAX_DISPLAY_NAME_LENGTH] or None


def _has_ended(answer: XrpcAnswer) -> bool:
    if (answer.error, answer.message) == words.BODY_REJECTED:
        return False  # the error is about a body that a proxy added, not about the session
    names = words.SESSION_ENDED | words.INACTIVE_ACCOUNTS.keys()
    # a 401 with any XRPC error but NO_TOKEN is about the token; error names differ by server
    is_about_token = answer.status == 401 and answer.error not in ("", words.NO_TOKEN)
    return answer.error in names or is_about_token


def _session(answer: XrpcAnswer, did: str, now: Micros) -> Session:
    if not answer.is_success:
        raise_status(answer, now)
    access, refresh = answer.body.get("accessJwt"), answer.body.get("refreshJwt")
    if is_of_another_account(answer, did):
        why = "another_account"
    elif answer.body.get("did") == did and is_usable(access) and is_usable(refresh):
        return Session(access, refresh, expires_at(access, now))
    else:
        why = "wrong_shape" if answer.body else "not_json"
    raise unexpected(why)


def _inactive_status(body: Mapping[str, Any]) -> str:
    """Return the status of an inactive account, as a known word; empty for an active one.

    An account is inactive only if `active` is false. If `active` is missing or has another value,
    the account counts as active.
    """
    if body.get("active") is not False:
        return ""
    named = body.get("status")
    status = named.lower() if isinstance(named, str) else ""
    return status if status in words.ACCOUNT_STATUSES else "inactive"


def _sounds_rejected(answer: XrpcAnswer) -> bool:
    """Whether the wording of the answer says that the password is wrong."""
    if not 400 <= answer.status < 600 or answer.is_rate_limit:
        return False
    if (answer.status, answer.error, answer.message) in words.REJECTED_MESSAGES:
        return True
    text = f"{answer.error} {answer.message}"
    is_short = len(text) <= MAX_MESSAGE_LENGTH and "<" not in text  # not a web page
    return is_short and bool(words.SOUNDS_REJECTED.search(text))


def _scopes(token: str) -> list[str]:
    scope = claims(token).get("scope")
    return scope.split() if isinstance(scope, str) else []


def _is_null_session(answer: XrpcAnswer) -> bool:
    """Whether createSession returned 200 with null tokens: how dnproto rejects a password."""
    tokens = [answer.body.get(name, "") for name in ("accessJwt", "refreshJwt")]
    return answer.status == 200 and tokens == [None, None]
