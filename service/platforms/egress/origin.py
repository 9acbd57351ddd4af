"""Origin: scheme, host and port of a server, and which origins an untrusted document may name."""

import re
from dataclasses import dataclass
from typing import Self

ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?", re.ASCII)
PUBLIC_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII
)
"""At least two labels, the last of which begins with a letter: no IP address matches."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an http(s) URL without path, query or user; raise ValueError for any other text."""
        # str.lower() turns the Kelvin sign into k
        match = ORIGIN.fullmatch(text.lower()) if text.isascii() else None
        if match is None:
            raise ValueError("not an origin")
        scheme, host, port = match.groups()
        number = int(port) if port else (443 if scheme == "https" else 80)
        if not 0 < number < 65536:
            raise ValueError("not a port")
        return cls(scheme, host, number)

    @property
    def is_public_https(self) -> bool:
        """Whether an untrusted document may name it. Its address is checked at the connection."""
        return (
            self.scheme == "https" and self.port == 443 and bool(PUBLIC_NAME.fullmatch(self.host))
        )

    def __str__(self) -> str:
        is_default = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{self.host}" + ("" if is_default else f":{self.port}")
