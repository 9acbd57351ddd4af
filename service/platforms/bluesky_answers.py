"""Bluesky's answers: what they mean, by status and XRPC error, and never by class alone."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from service.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.model import SECOND, CredentialFault, Micros, PlatformFault, Session, Standing
from service.platforms.bluesky_card import CARD, HELP_URL
from service.platforms.identity import json_object, odd_status
from service.platforms.names import NameNotFound
from service.ports import SessionEnded

TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
OPAQUE_TOKEN_LIFE = 30 * 60 * SECOND
LATEST_EXPIRY = 253_402_300_799
"""The end of the year 9999, in seconds: no Timestamp tells a later one."""
LONGEST_PAUSE = 24 * 3600.0
USUAL_PAUSE = 60.0
LONGEST_DISPLAY_NAME = 640
ENDED = frozenset(
    ("AccountTakedown", "AuthenticationRequired", "ExpiredToken", "InvalidRequest", "InvalidToken")
)
"""The XRPC errors, of status 400 or 401, by which a server says that it refreshes no more."""
STANDINGS = {
    "deactivated": Standing.DEACTIVATED,
    "suspended": Standing.SUSPENDED,
    "takendown": Standing.TAKEN_DOWN,
    "deleted": Standing.NOT_FOUND,
}


def invalid(cause: CredentialFault) -> InvalidCredentials:
    return InvalidCredentials(CARD.platform, CARD.display_name, cause, help_url=HELP_URL)


def inactive(status: str) -> AccountInactive:
    """A login that works, to an account of that *status*."""
    return AccountInactive(CARD.platform, status)


def inactive_status(told: object) -> str:
    """What an account that is not active is told to be, in a word that we know."""
    return told if isinstance(told, str) and told in STANDINGS else "inactive"


def session(access_token: str, refresh_token: str, now: Micros) -> Session:
    """A session of tokens that are opaque: what a JWT says of itself is a hint, no more."""
    expiry = claims(access_token).get("exp")
    # True is an int, too
    if type(expiry) is int and 0 < expiry <= LATEST_EXPIRY:
        return Session(access_token, refresh_token, expiry * SECOND)
    return Session(access_token, refresh_token, now + OPAQUE_TOKEN_LIFE)


def check_shape(given: Session) -> None:
    """Raise PlatformUnavailable unless both tokens can be sent back in a header."""
    if not (TOKEN.fullmatch(given.access_token) and TOKEN.fullmatch(given.refresh_token)):
        raise PlatformUnavailable(PlatformFault.UNEXPECTED_ANSWER, "wrong_shape", retry_after=None)


def refuse(error: Exception, now: Micros) -> NoReturn:
    """Say what a failed call means."""
    if isinstance(error, ServiceError):
        raise error
    if isinstance(error, NameNotFound):
        raise PlatformUnavailable(
            PlatformFault.ADDRESS_NOT_ALLOWED, error.why, retry_after=None
        ) from None
    status, name = _told(error)
    if status is None:
        raise PlatformUnavailable(PlatformFault.UNEXPECTED_ANSWER, type(error).__name__) from None
    if status == 401 and name == "AuthenticationRequired":
        raise invalid(CredentialFault.REJECTED_BY_PLATFORM) from None
    if status == 401 and name == "AuthFactorTokenRequired":
        # asked for main passwords only
        raise invalid(CredentialFault.MAIN_PASSWORD) from None
    if status == 401 and name == "AccountTakedown":
        raise inactive("takendown") from None
    refuse_status(status, getattr(getattr(error, "response", None), "headers", {}), now)


def refuse_refresh(error: Exception, now: Micros) -> NoReturn:
    """Say what a failed refresh means: at most that the session has ended."""
    status, name = _told(error)
    if status in (400, 401) and name in ENDED:
        raise SessionEnded from None
    if status in (400, 401):
        raise odd_status(status) from None
    refuse(error, now)


def refuse_status(status: int, headers: Mapping[str, str], now: Micros) -> NoReturn:
    """Say what an answer of such a status means, whatever was asked."""
    if status == 429:
        raise PlatformRateLimited(CARD.platform, CARD.display_name, _pause(headers, now)) from None
    raise odd_status(status) from None


def pause_until(headers: Mapping[str, str], now: Micros) -> Micros | None:
    """Until when a login that worked was the last one allowed, if it was."""
    reset = _reset(headers)
    if headers.get("ratelimit-remaining") != "0" or reset is None:
        return None
    return reset if reset > now else None


def standing(status: int, content: bytes, did: str) -> Standing | None:
    """What getRepoStatus says of *did*, if it says anything."""
    told = json_object(content)
    if status == 400 and told.get("error") == "RepoNotFound":
        return Standing.NOT_FOUND
    if status != 200 or told.get("did") != did:
        return None
    if told.get("active") is True:
        return Standing.ACTIVE
    named = told.get("status")
    return STANDINGS.get(named) if told.get("active") is False and isinstance(named, str) else None


def error_name(content: bytes) -> str | None:
    """The XRPC error that *content* names, if it does."""
    try:
        name = json_object(content).get("error")
    except PlatformUnavailable:
        return None
    return name if isinstance(name, str) else None


def display_name(record: bytes) -> str | None:
    """The name in a profile's record."""
    try:
        name = json.loads(record)["value"]["displayName"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(name, str):
        return None
    shown = "".join(character for character in name if character.isprintable()).strip()
    return shown[:LONGEST_DISPLAY_NAME] or None


def claims(token: str) -> Mapping[str, Any]:
    """What a JWT says, unverified; nothing, where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        said = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _told(error: Exception) -> tuple[int | None, str | None]:
    """The status and the XRPC error of an answer that the SDK raised."""
    response = getattr(error, "response", None)
    name = getattr(getattr(response, "content", None), "error", None)
    return getattr(response, "status_code", None), name if isinstance(name, str) else None


def _pause(headers: Mapping[str, str], now: Micros) -> float:
    """How long a 429 asks us to wait, in seconds."""
    reset = _reset(headers)
    if reset is None:
        return USUAL_PAUSE
    return min(max((reset - now) / SECOND, 1.0), LONGEST_PAUSE)


def _reset(headers: Mapping[str, str]) -> Micros | None:
    reset = headers.get("ratelimit-reset", "")
    return int(reset) * SECOND if re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII) else None
