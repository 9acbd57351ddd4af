"""Connect links: what is stored of them, and of the page that they lead to."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

from service.domain.model import DAY, Micros
from service.domain.records import Reservation

MAX_TRIES = 20
"""Tries of one link that may reach a platform."""
LINKS_KEPT: Micros = 7 * DAY
"""For how long an expired link is still recognised."""
MAX_APP_NAME_LENGTH = 60
MAX_RETURN_URL_LENGTH = 2000
ADDED = ("profileKey", "platform", "state")
"""The names that a return adds to its query."""
HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of marks that are invisible, or change the direction of text."""
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_ORIGIN = (
    rf"(?P<origin>https://(?:(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?|{_LOOPBACK}){_PORT}"
    rf"|http://{_LOOPBACK}{_PORT.replace('port', 'plain_port')})"
)
ORIGIN = re.compile(rf"{_ORIGIN}/?", re.ASCII | re.IGNORECASE)
# no user info, no fragment, and only the characters that RFC 3986 allows
RETURN_URL = re.compile(
    rf"{_ORIGIN}(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*)?(?:\?(?P<query>[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*))?",
    re.ASCII | re.IGNORECASE,
)


class LinkState(StrEnum):
    """Whether a link can be used, and if not, why."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SPENT = "spent"
    """All its tries were refused."""


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """A link to the page where a person connects an account.

    *key_id*: the API key that made it, in whose name it connects. *profile_key* None: its success
    creates a profile. *platform* empty: the person chooses. After the success both are those of
    the connection.
    """

    link_id: str
    tenant_id: str
    key_id: str
    profile_key: str | None
    platform: str
    app_name: str
    return_url: str
    state: str
    locale: str
    created_at: Micros
    expires_at: Micros
    tries: int = 0
    used_at: Micros | None = None
    revoked_at: Micros | None = None

    def state_at(self, now: Micros) -> LinkState:
        if self.revoked_at is not None:
            return LinkState.REVOKED
        if now >= self.expires_at:
            return LinkState.EXPIRED
        if self.used_at is not None:
            return LinkState.USED
        return LinkState.OPEN if self.tries < MAX_TRIES else LinkState.SPENT


@dataclass(frozen=True, slots=True)
class LinkSecret:
    """What finds a link: the digest of its token, and the keyring's key that made the token."""

    digest: bytes
    ring_key_id: str


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link to store, and the idempotency key to complete with it."""

    link: ConnectLink
    secret: LinkSecret
    reservation: Reservation | None


@dataclass(frozen=True, slots=True)
class TenantPage:
    """What a tenant has registered for its connect pages. Every part may be empty.

    *logo*: a data URI. *colour*: #rrggbb. *origins*: where a page may lead back to, and be framed.
    """

    name: str = ""
    logo: str = ""
    colour: str = ""
    origins: tuple[str, ...] = ()


def registered_origin(text: str) -> str:
    """Return the origin in *text* in its one spelling. Raise ValueError.

    It has https, or http at a loopback address. A name in other letters than ASCII is not
    accepted: its punycode form shows what it is.
    """
    found = ORIGIN.fullmatch(text)
    if found is None:
        raise ValueError("must be https://HOST[:PORT], or http://localhost[:PORT], and no more")
    return _canonical(found)


def origin_of(return_url: str) -> str:
    """Return the origin of *return_url* in its one spelling. Raise ValueError."""
    found = RETURN_URL.fullmatch(return_url)
    if found is None or len(return_url) > MAX_RETURN_URL_LENGTH:
        raise ValueError(
            "must be an https URL without user info and fragment, of at most "
            f"{MAX_RETURN_URL_LENGTH} characters"
        )
    pairs = parse_qsl(found["query"] or "", keep_blank_values=True)
    if any(name in ADDED for name, _ in pairs):
        raise ValueError(f"must not have {', '.join(ADDED)} in its query: the page adds them")
    return _canonical(found)


def way_back(link: ConnectLink) -> str:
    """Return the URL that the page of a used link leads back to; empty if there is none."""
    if not link.return_url:
        return ""
    values = (link.profile_key or "", link.platform, link.state)
    added = urlencode([(name, value) for name, value in zip(ADDED, values, strict=True) if value])
    return f"{link.return_url}{'&' if '?' in link.return_url else '?'}{added}"


def fault_of_name(text: str, most: int) -> str:
    """Return what is wrong with a name that a page shows; empty if nothing is."""
    if not text.strip() or len(text) > most:
        return f"must be 1 to {most} characters"
    if any(unicodedata.category(character) in HIDDEN for character in text):
        return "has marks that are invisible or change the direction of text"
    return ""


def _canonical(found: re.Match[str]) -> str:
    origin = found["origin"].lower()
    port = found["port"] or found["plain_port"]
    if port is not None and int(port) >= 65536:
        raise ValueError("has no valid port")
    usual = "443" if origin.startswith("https:") else "80"
    return origin.removesuffix(f":{port}") if port == usual else origin
