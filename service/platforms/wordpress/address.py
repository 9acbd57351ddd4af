"""Addresses: of WordPress sites, as people type them and as a site states its own.

A site is known by the address of its front page, without a slash at the end: `https://example.com`
or `https://example.com/blog`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from service.platforms.egress.origin import Origin

MAX_LENGTH = 300
TYPED = re.compile(
    r"(?:https?://)?([^\s/?#@:]+(?::[0-9]{1,5})?)((?:/[^\s?#<>]*)?)(?:[?#].*)?", re.I | re.S
)
STATED = re.compile(r"(https?)://([^\s?#@]+)")
PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*", re.ASCII)
OWN_PATHS = re.compile(
    r"/(wp-admin|wp-json|wp-login\.php|wp-signup\.php|xmlrpc\.php|index\.php)(/.*)?$", re.S
)
"""Paths of WordPress's own below the front page, with what follows."""
PRETTY, PLAIN = "/wp-json", "/?rest_route="
"""The root of the API below the front page. Every site has the second."""
AUTHOR, AUTHOR_NAME = "/?author=", "/?author_name="
"""WordPress's own addresses of a user, below the front page."""


def tidy_site(typed: str, origin_of_host: Callable[[str], Origin]) -> str:
    """Return the address in *typed*, with the origin that *origin_of_host* gives.

    Removes the scheme, the query and WordPress's own paths. Raises ValueError if it is none.
    """
    match = TYPED.fullmatch(typed)
    if match is None or len(typed) > MAX_LENGTH:
        raise ValueError("not an address")
    path = OWN_PATHS.sub("", re.sub("/{2,}", "/", match[2])).rstrip("/")
    host, path = _encoded(f"https://{match[1]}{path}")
    return f"{origin_of_host(host)}{path}"


def stated_site(home: object) -> str | None:
    """Return the address that a site states as its own; None if that is no address."""
    match = STATED.fullmatch(home) if isinstance(home, str) and len(home) <= MAX_LENGTH else None
    if match is None:
        return None
    try:
        host, path = _encoded(f"{match[1]}://{match[2]}")
    except ValueError:
        return None
    return f"{match[1]}://{host}{path}"


def is_same_site(site: str, other: str) -> bool:
    """Whether both are the same site. One behind a proxy may state http for what is https."""
    return site.partition("://")[2] == other.partition("://")[2]


def _encoded(url: str) -> tuple[str, str]:
    """Return host, with a port that is not the scheme's, and path of *url*, in ASCII.

    The path ends in no slash. Raises ValueError if either is not one.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("not a URL") from None
    path = parsed.raw_path.decode().rstrip("/")
    if parsed.userinfo or not parsed.host or not PATH.fullmatch(path):
        raise ValueError("not a URL")
    return parsed.netloc.decode().lower().removesuffix("."), path


@dataclass(frozen=True, slots=True)
class Site:
    """A site, by the address of its front page. *is_plain*: its permalinks are plain."""

    home: str
    is_plain: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        scheme, _, rest = self.home.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    @property
    def endpoint(self) -> str:
        """The root of the API, to which a route is appended."""
        return self.home + (PLAIN if self.is_plain else PRETTY)

    def url(self, route: str, **params: str) -> str:
        """Return the URL of *route* (`/wp/v2/users/me`) with *params*."""
        mark = "&" if self.is_plain else "?"
        query = "&".join(f"{name}={quote(value, safe=',')}" for name, value in params.items())
        return f"{self.endpoint}{route}" + (f"{mark}{query}" if query else "")

    def account_id(self, user_id: int) -> str:
        return f"{self.home}{AUTHOR}{user_id}"

    def provisional_id(self, username: str) -> str:
        """Return what stands for the user until a login returns the id.

        It holds the kind of permalinks, for the login.
        """
        plain = "rest_route=&" if self.is_plain else ""
        return f"{self.home}/?{plain}{AUTHOR_NAME[2:]}{quote(username.lower(), safe='')}"

    @classmethod
    def of_root(cls, url: str) -> "Site | None":
        """Return the site whose API's root is at *url*; None if it is no such root."""
        root, _, query = url.partition("?")
        root, is_plain = root.rstrip("/"), "rest_route=" in query
        if not is_plain and not root.endswith(PRETTY):
            return None
        root = root.removesuffix("" if is_plain else PRETTY).removesuffix("/index.php")
        home = stated_site(root)
        return None if home is None else cls(home, is_plain)

    @classmethod
    def of_account(cls, account_id: str) -> "Site":
        """Return the site of an id from this class. A user's id does not tell its permalinks."""
        home, _, query = account_id.partition("/?")
        return cls(home, query.startswith("rest_route="))
