"""Origin: scheme, host and port of a server, and which of them anybody's document may name."""

import re
from dataclasses import dataclass
from typing import Self

ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?", re.ASCII)
PUBLIC_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII
)
"""At least two labels, the last beginning with a letter: no form of a bare address is one."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: where an operation goes, and nothing more than that."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError unless *text* is an http(s) URL of an origin alone."""
        # str.lower() would turn the Kelvin sign into k
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
        """Whether anybody's document may send us there (its address is checked later)."""
        return (
            self.scheme == "https" and self.port == 443 and bool(PUBLIC_NAME.fullmatch(self.host))
        )

    def __str__(self) -> str:
        usual = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{self.host}" + ("" if usual else f":{self.port}")
