"""Answers of `verify_credentials`: what each means, by status and words.

An error is `{"error": "…"}`. Sources: Mastodon's `doorkeeper.en.yml` and `base_controller.rb`; snac
2.75 was seen.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

import httpx

from service.domain.errors import AccountInactive, PlatformRateLimited, PlatformUnavailable
from service.domain.model import Account, Micros
from service.domain.platform import PermissionLost
from service.platforms.limits import limit_seconds
from service.platforms.mastodon.card import CARD
from service.platforms.unavailable import bad_status, json_object, unexpected

REVOKED = "The access token was revoked"
"""The server has the token on record. "The access token is invalid" proves less: a server says so
as well if a proxy in front of it has removed the header."""
OUTSIDE_SCOPES = "This action is outside the authorized scopes"
INACTIVE = {
    "Your login is currently disabled": "suspended",
    "Your login is missing a confirmed e-mail address": "suspended",
    "Your login is currently pending approval": "suspended",
}
"""Statuses of AccountInactive, by the error with 403."""
MAX_DISPLAY_NAME_LENGTH = 100
WRITE_SCOPES = frozenset(("write", "write:statuses"))


class Rejected(Exception):
    """The server rejects the token. *is_stated*: it states that the token was revoked."""

    def __init__(self, *, is_stated: bool = False) -> None:
        self.is_stated = is_stated


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token that works leads to."""

    display_name: str


def verified(response: httpx.Response, account: Account, now: Micros) -> Verified:
    """Return what *response* states of *account*.

    Raises Rejected, also if the token is another account's; AccountInactive, PermissionLost,
    PlatformRateLimited and PlatformUnavailable.
    """
    if response.status_code != 200:
        _raise(response, now)
    owner = json_object(response.content)
    if not isinstance(owner.get("username"), str):
        raise unexpected("wrong_shape")
    if not _is_of(owner, account):
        raise Rejected
    if isinstance(owner.get("moved"), dict):
        raise AccountInactive(CARD.platform, "moved")
    if owner.get("suspended") is True:
        raise AccountInactive(CARD.platform, "suspended")
    name = owner.get("display_name")
    words = name.split() if isinstance(name, str) else []
    return Verified(" ".join(words)[:MAX_DISPLAY_NAME_LENGTH])


def lacks_write(response: httpx.Response) -> bool:
    """Whether the token's application states scopes without the one to publish.

    Only Mastodon 4.3 and later state them.
    """
    if response.status_code != 200:
        return False
    try:
        scopes = json_object(response.content).get("scopes")
    except PlatformUnavailable:
        return False
    if not isinstance(scopes, list) or not all(isinstance(each, str) for each in scopes):
        return False
    return bool(scopes) and not WRITE_SCOPES & set(scopes)


def _raise(response: httpx.Response, now: Micros) -> NoReturn:
    status, error = response.status_code, _error(response)
    if status == 429:
        wait = limit_seconds(response.headers, now)
        raise PlatformRateLimited(CARD.platform, CARD.display_name, wait)
    if status in (401, 422) and (error or not response.content):
        # a page in HTML is a firewall's; snac answers without a body
        raise Rejected(is_stated=(status, error) == (401, REVOKED))
    if status == 403 and error in INACTIVE:
        raise AccountInactive(CARD.platform, INACTIVE[error])
    if status == 403 and error == OUTSIDE_SCOPES:
        raise PermissionLost
    raise bad_status(status, response.headers, now)


def _error(response: httpx.Response) -> str:
    """Return the error in the answer's JSON; empty if there is none."""
    try:
        error = json_object(response.content).get("error")
    except PlatformUnavailable:
        return ""
    return error if isinstance(error, str) else ""


def _is_of(owner: dict[str, Any], account: Account) -> bool:
    """Whether *owner*, in the server's own words, is *account*.

    Older Mastodon and other software state no `uri`. Names are unique at a server, but for one with
    several domains, which states the domain in `acct`.
    """
    uri = owner.get("uri")
    if isinstance(uri, str):
        return uri == account.account_id
    if owner.get("url") == account.account_id:
        return True
    acct = owner.get("acct")
    user = account.username.partition("@")[0]
    is_named = owner["username"].lower() == user
    return is_named and isinstance(acct, str) and acct.lower() in (user, account.username)
