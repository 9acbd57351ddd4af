"""Addresses: of Ghost sites, as people type them and as they are found.

A site's home is the address that its Admin API is under, without a slash at the end:
`https://example.com`, or `https://example.com/blog` for one in a folder.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from service.platforms.egress.origin import Origin

MAX_LENGTH = 300
TYPED = re.compile(r"(?:https?://)?([^\s/?#@:]+(?::[0-9]{1,5})?)([^?#]*)(?:[?#].*)?", re.I | re.S)
PATH = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){0,8}", re.ASCII)
OWN_PATHS = re.compile(r"/ghost(/.*)?$", re.S)
"""The dashboard's path below the home, with what follows."""
API = "/ghost/api/admin"
SITE = f"{API}/site/"


def tidy_site(typed: str, origin_of_host: Callable[[str], Origin]) -> str:
    """Return the home in *typed*, with the origin that *origin_of_host* gives.

    Removes the scheme, the query and the dashboard's path. Raises ValueError if it is none.
    """
    match = TYPED.fullmatch(typed) if len(typed) <= MAX_LENGTH else None
    if match is None:
        raise ValueError("not an address")
    host, path = match.groups()
    if not host.isascii():
        try:
            host = httpx.URL(f"https://{host}").netloc.decode()
        except httpx.InvalidURL:
            raise ValueError("not a host") from None
    path = OWN_PATHS.sub("", re.sub("/{2,}", "/", path)).rstrip("/")
    if not PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError("not a path")
    return f"{origin_of_host(host.removesuffix('.'))}{path}"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a site's Admin API is: an origin, and the folder's path or an empty one."""

    origin: str
    path: str = ""

    @property
    def endpoint(self) -> str:
        """The root of the Admin API, without a slash at the end."""
        return f"{self}{API}"

    @property
    def site(self) -> str:
        """The URL of what the site states of itself to anybody."""
        return f"{self}{SITE}"

    @property
    def host(self) -> str:
        """`example.com`, or HOST:PORT if the port is not the scheme's."""
        return self.origin.partition("://")[2]

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"

    @classmethod
    def parse(cls, address: object) -> "Home | None":
        """Return the home at an http(s) URL; None if it is no such URL."""
        if not isinstance(address, str) or len(address) > MAX_LENGTH or not address.isascii():
            return None
        try:
            url = httpx.URL(address)
            # raw: httpx's plain host is the decoded form of an xn-- name
            origin = str(Origin.parse(f"{url.scheme}://{url.netloc.decode()}"))
        except (httpx.InvalidURL, ValueError):
            return None
        path = url.path.rstrip("/")
        is_home = PATH.fullmatch(path) and not url.userinfo
        return cls(origin, path) if is_home else None

    @classmethod
    def of_site(cls, url: str) -> "Home | None":
        """Return the home whose `site` is at *url*; None if there is none."""
        found = cls.parse(url)
        if found is None or not f"{found.path}/".endswith(SITE):
            return None
        return cls(found.origin, found.path.removesuffix(SITE.rstrip("/")))
