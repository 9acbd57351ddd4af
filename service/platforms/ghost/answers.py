"""Answers of Ghost's Admin API: what each means, by status, code and message.

An error is `{"errors": [{"message", "code", …}]}`. Seen on Ghost 6.65.0.
"""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx

from service.domain.errors import PlatformUnavailable
from service.domain.model import SECOND, Micros
from service.domain.platform import CredentialRevoked
from service.platforms.ghost.address import Home
from service.platforms.unavailable import bad_status, json_object, unexpected

UNKNOWN_KEY = "UNKNOWN_ADMIN_API_KEY"
INVALID_TOKEN = "INVALID_JWT"  # noqa: S105 - a code, no token
WRONG_SECRET = "Invalid token: invalid signature"  # noqa: S105 - a message, no secret
"""With INVALID_TOKEN. Its other messages are about our own token: its time or its audience."""
NONE_THERE = frozenset((200, 404, 405, 410))
"""Statuses of a server that is no Ghost site. Others are of its outages and firewalls."""
MAX_TITLE_LENGTH = 64
MAX_CLOCK_AHEAD: Micros = 15 * 60 * SECOND
UUID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Site:
    """What a site states of itself to anybody.

    *uuid*: its permanent id; empty if it is too old to have one. *public*: the address of its front
    page, if it is one.
    """

    home: Home
    uuid: str
    title: str
    public: Home | None

    @property
    def account_id(self) -> str:
        """The uuid and the folder's path, as in `UUID/blog`; without a uuid, the home."""
        return f"{self.uuid}{self.home.path}" if self.uuid else str(self.home)

    def is_of(self, account_id: str) -> bool:
        """Whether the account of that id is this site. The id may be older than the uuid."""
        return account_id in (self.account_id, str(self.home))


def site(response: httpx.Response, home: Home) -> Site | None:
    """Return the site that *response* describes; None if it is not Ghost's."""
    if response.status_code != 200:
        return None
    try:
        described = json_object(response.content).get("site")
    except PlatformUnavailable:
        return None
    if not isinstance(described, dict) or not isinstance(described.get("version"), str):
        return None
    uuid, title = described.get("site_uuid"), described.get("title")
    return Site(
        home,
        uuid if isinstance(uuid, str) and UUID.fullmatch(uuid) else "",
        " ".join(title.split())[:MAX_TITLE_LENGTH] if isinstance(title, str) else "",
        Home.parse(described.get("url")),
    )


def raise_no_site(response: httpx.Response, now: Micros) -> NoReturn:
    """Raise PlatformUnavailable for an answer that describes no site."""
    if response.status_code == 200:
        raise unexpected("no_site")
    raise bad_status(response.status_code, response.headers, now)


def clock_ahead(response: httpx.Response, now: Micros) -> Micros:
    """Return how far the server's clock is ahead of ours, by its Date header; 0 if it is not.

    A Date in the past is not used: a cache sends one too. A token that is signed in advance is good
    for longer, so the result has a limit.
    """
    try:
        # the last one is the site's own
        date = parsedate_to_datetime(response.headers.get_list("date")[-1])
        ahead = int(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * SECOND - now
    except (IndexError, TypeError, ValueError, OverflowError):
        return 0
    return min(max(ahead, 0), MAX_CLOCK_AHEAD)


def check_accepted(response: httpx.Response, now: Micros) -> None:
    """Raise CredentialRevoked if the key is rejected, PlatformUnavailable for any other failure."""
    if response.status_code == 200:
        if not isinstance(json_object(response.content).get("users"), list):
            raise unexpected("wrong_shape")
        return
    code, message = _error(response)
    is_rejected = code == UNKNOWN_KEY or (code, message) == (INVALID_TOKEN, WRONG_SECRET)
    if response.status_code == 401 and is_rejected:
        raise CredentialRevoked
    raise bad_status(response.status_code, response.headers, now)


def _error(response: httpx.Response) -> tuple[object, object]:
    """Return the code and the message of the first error; both are None if there is none."""
    try:
        errors: Any = json_object(response.content).get("errors")
    except PlatformUnavailable:
        return None, None
    first = errors[0] if isinstance(errors, list) and errors else None
    return (first.get("code"), first.get("message")) if isinstance(first, dict) else (None, None)
