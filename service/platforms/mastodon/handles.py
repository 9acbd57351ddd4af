"""Handles: tidying of typed handles, `alice@example.social` in lower case."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import httpx

from service.platforms.egress.origin import Origin
from service.platforms.typed import trimmed

MAX_LENGTH = 500
USER = r"[a-z0-9_](?:[a-z0-9_.-]{0,62}[a-z0-9_])?"
HANDLE = re.compile(rf"({USER})@([^\s@/?#]{{1,259}})", re.ASCII | re.IGNORECASE)
PROFILE_LINK = re.compile(
    rf"(?:https?://)?([^\s@/?#]+)/(?:(?:web|deck)/)?(?:@|users/)({USER})(@[^\s@/?#]+)?(?:[/?#].*)?",
    re.ASCII | re.IGNORECASE,
)
"""A profile at its own server, or at one that shows it: `example.social/@bob@elsewhere.example`."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A user at a domain. *origin*: where the domain answers."""

    user: str
    domain: str
    origin: str

    @classmethod
    def parse(cls, text: str, origin_of_host: Callable[[str], Origin]) -> Self:
        """Parse `alice@example.social`; raise ValueError if it is none."""
        match = HANDLE.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if match is None:
            raise ValueError("not a handle")
        user, domain = match.groups()
        if not domain.isascii():
            try:
                domain = httpx.URL(f"https://{domain}").netloc.decode()
            except (httpx.InvalidURL, UnicodeError):
                raise ValueError("not a domain") from None
        origin = origin_of_host(domain.removesuffix(".").lower())
        return cls(user.lower(), str(origin).partition("://")[2], str(origin))

    def __str__(self) -> str:
        return f"{self.user}@{self.domain}"


def tidy_handle(typed: str) -> str:
    """Return the handle in *typed*, which may be malformed.

    Removes white space and invisible marks at the ends, one `@` or `acct:`, and the URL of a
    profile around the handle.
    """
    text = trimmed(typed)
    if len(text) > MAX_LENGTH:
        return text
    bare = trimmed(text.removeprefix("@"))
    if link := PROFILE_LINK.fullmatch(bare):
        host, user, elsewhere = link.groups()
        return f"{user}{elsewhere or f'@{host}'}"
    return bare[5:] if bare[:5].lower() == "acct:" else bare
