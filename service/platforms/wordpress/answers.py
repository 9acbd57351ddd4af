"""Answers of WordPress's REST API: what each means.

From 6.3.2 on, core answers 401 `rest_not_logged_in` to a wrong application password, to a revoked
one, to a header that a proxy removed, and to no header at all. A plugin that asks early who calls
makes the older words come back. Source: WordPress's class-wp-rest-server.php and
class-wp-rest-application-passwords-controller.php; seen on 6.1, 6.8 and 7.1.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from service.domain.errors import InvalidCredentials, PlatformUnavailable
from service.domain.model import (
    AccountStatus,
    InvalidCredentialsCause,
    Micros,
    PlatformUnavailableCause,
)
from service.domain.platform import CredentialRevoked, SessionEnded
from service.platforms.unavailable import bad_status, json_object, unexpected
from service.platforms.wordpress.address import Site, is_same_site, stated_site
from service.platforms.wordpress.card import CARD
from service.platforms.wordpress.sessions import Tokens

REFUSED = frozenset(("rest_not_logged_in", "invalid_username", "invalid_email"))
WRONG_PASSWORD = "incorrect_password"  # noqa: S105 - a code, no password
SWITCHED_OFF = frozenset(
    ("application_passwords_disabled", "application_passwords_disabled_for_user")
)
NO_APP_PASSWORD = "rest_no_authenticated_app_password"  # noqa: S105 - a code, no password
NOT_FOUND = "rest_application_password_not_found"
API_RELATION = "https://api.w.org/"
BLOCKED = frozenset((401, 403))
"""The index is closed to strangers, or a firewall answers instead."""
PERMISSION = "publish_posts"
MAX_NAME_LENGTH = 64
LEFTOVER_AGE = timedelta(days=1)
"""An application password of ours that is older is a leftover: checks renew a session each six
hours. Younger ones may be the sessions of other connections to the same user."""
UUID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
PASSWORD = re.compile(r"[\x20-\x7e]{8,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Index:
    """What a site states of itself to anybody. *home*: its address."""

    home: str
    has_app_passwords: bool


@dataclass(frozen=True, slots=True)
class User:
    """A site's user, as the user sees it. *username*: the login name, which never changes."""

    user_id: int
    username: str
    display_name: str
    may_publish: bool


@dataclass(frozen=True, slots=True)
class Minted:
    """A new application password."""

    uuid: str
    password: str = field(repr=False)


def code_of(response: httpx.Response) -> str:
    """Return the code of an error in WordPress's JSON; empty if it has none."""
    try:
        code = json_object(response.content).get("code")
    except PlatformUnavailable:
        return ""
    return code if isinstance(code, str) else ""


def index(response: httpx.Response) -> Index | None:
    """Return the index in *response*; None if it is not one of WordPress's."""
    if response.status_code != 200:
        return None
    try:
        stated = json_object(response.content)
    except PlatformUnavailable:
        return None
    home, namespaces = stated_site(stated.get("home")), stated.get("namespaces")
    if home is None or not isinstance(namespaces, list) or "wp/v2" not in namespaces:
        return None
    methods = stated.get("authentication")
    return Index(home, isinstance(methods, dict) and "application-passwords" in methods)


def home_of_closed(response: httpx.Response) -> str | None:
    """Return the address of a site whose API is closed to strangers; None if it is no such answer.

    WordPress names its API's root in a header of each answer of the API, of rejections too.
    """
    if response.status_code not in BLOCKED or not code_of(response):
        return None
    root = Site.of_root(response.links.get(API_RELATION, {}).get("url", ""))
    return None if root is None else root.home


def account_status(index: Index, home: str) -> AccountStatus:
    """Return what the *index* at the address *home* states of credentials there."""
    if not is_same_site(index.home, home):
        return AccountStatus.UNKNOWN
    return AccountStatus.ACTIVE if index.has_app_passwords else AccountStatus.SWITCHED_OFF


def raise_outage(response: httpx.Response, now: Micros) -> None:
    """Raise PlatformUnavailable if *response* is one that waiting may change."""
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise bad_status(response.status_code, response.headers, now)


def says_nothing(error: PlatformUnavailable) -> bool:
    """Whether *error* is about an answer that arrived, which waiting does not change."""
    unexpected_answer = PlatformUnavailableCause.UNEXPECTED_ANSWER
    return error.cause is unexpected_answer and error.retry_after is None


def raise_refusal(response: httpx.Response, now: Micros, *, is_proof: bool) -> None:
    """Raise what a response to a login means, unless it has status 200.

    *is_proof*: the credential worked before, so that words on the password prove a revocation.
    """
    if response.status_code == 200:
        return
    status, code = response.status_code, code_of(response)
    cause = None
    if (status, code) == (404, NO_APP_PASSWORD):
        cause = InvalidCredentialsCause.MAIN_PASSWORD
    elif status == 401 and code == WRONG_PASSWORD:
        if is_proof:
            raise CredentialRevoked
        cause = InvalidCredentialsCause.REJECTED_BY_PLATFORM
    elif status == 401 and code in REFUSED:
        cause = InvalidCredentialsCause.REJECTED_BY_PLATFORM
    elif code in SWITCHED_OFF:
        cause = InvalidCredentialsCause.SWITCHED_OFF
    if cause is None:
        raise bad_status(status, response.headers, now)
    raise InvalidCredentials(CARD, cause)


def raise_ended(response: httpx.Response, now: Micros) -> None:
    """Raise what a response to a session means, unless it has status 200."""
    status = response.status_code
    if status == 200:
        return
    code = code_of(response)
    if code in SWITCHED_OFF or (status == 401 and code in REFUSED | {WRONG_PASSWORD}):
        raise SessionEnded
    raise bad_status(status, response.headers, now)


def is_revoked(response: httpx.Response) -> bool:
    """Whether a session that works was told that the site has no such application password."""
    return response.status_code == 404 and code_of(response) == NOT_FOUND


def is_deleted(response: httpx.Response) -> bool:
    """Whether the site no longer has the application password that was to be deleted."""
    if response.status_code == 200:
        return json_object(response.content).get("deleted") is True
    known = REFUSED | {WRONG_PASSWORD}
    is_ended = response.status_code == 401 and code_of(response) in known
    return is_ended or is_revoked(response)


def uuid(response: httpx.Response) -> str:
    """Return the id of an application password."""
    return _text(json_object(response.content), "uuid", UUID)


def user(response: httpx.Response, now: Micros) -> User:
    """Return the user that a GET of `users/me` has stated."""
    if response.status_code != 200:
        raise bad_status(response.status_code, response.headers, now)
    stated = json_object(response.content)
    user_id, username, name = stated.get("id"), stated.get("username"), stated.get("name")
    capabilities = stated.get("capabilities")
    if (
        not isinstance(user_id, int)
        or isinstance(user_id, bool)
        or not 0 < user_id < 2**63
        or not isinstance(username, str)
        or not 0 < len(username) <= 100
        or ":" in username
        or not username.isprintable()
        or not isinstance(capabilities, dict)
    ):
        raise unexpected("wrong_shape")
    shown = "".join(each for each in str(name or "") if each.isprintable()).strip()
    may_publish = capabilities.get(PERMISSION) is True
    return User(user_id, username, shown[:MAX_NAME_LENGTH], may_publish)


def minted(response: httpx.Response, now: Micros) -> Minted:
    """Return the application password that *response*, of status 201, has made."""
    if response.status_code != 201:
        raise bad_status(response.status_code, response.headers, now)
    made = json_object(response.content)
    # WordPress groups the signs for people, and ignores the spaces
    password = _text(made, "password", PASSWORD).replace(" ", "")
    return Minted(_text(made, "uuid", UUID), password)


def leftovers(response: httpx.Response, app_id: str, tokens: Tokens) -> list[str]:
    """Return the ids of application passwords with *app_id* that are to be deleted.

    *response*: a list of all. They are the one before *tokens*, and those that were a day old by
    the site's clock when the latest was made.
    """
    try:
        # the parser of objects also takes a list in one
        entries = json_object(b'{"entries":' + response.content + b"}")["entries"]
        made = {each["uuid"]: datetime.fromisoformat(each["created"]) for each in entries}
        ours = [each["uuid"] for each in entries if each["app_id"] == app_id]
        before = max(made.values()) - LEFTOVER_AGE
    except (PlatformUnavailable, KeyError, TypeError, ValueError, OverflowError):
        return []
    old = [uuid for uuid in ours if uuid == tokens.former or made[uuid] < before]
    return [uuid for uuid in old if uuid != tokens.minted and UUID.fullmatch(uuid)]


def _text(stated: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = stated.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise unexpected("wrong_shape")
    return value
