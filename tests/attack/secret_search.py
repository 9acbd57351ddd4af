"""Search a file for a secret, or most of one, in any spelling that a program may use."""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

WINDOW = 12
"""The number of consecutive characters that identify a secret; the shortest secret has 19."""
LAST = 64
"""The characteristic end of a token; all tokens begin alike."""
TEXT = re.compile(rb"[\x20-\x7e]{%d,}" % WINDOW)
WIDE = re.compile(rb"(?:[\x20-\x7e]\x00){%d,}" % WINDOW)


class Traces:
    """Search for traces of *secrets*."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._of_window = {
            window: secret
            for secret in secrets
            for spelling in spellings(secret)
            for window in _windows(spelling)
        }

    def found_in(self, content: bytes) -> set[str]:
        """Return the secrets of which *content* holds a trace."""
        found = set()
        for text in _texts(content):
            for at in range(len(text) - WINDOW + 1):
                secret = self._of_window.get(text[at : at + WINDOW])
                if secret is not None:
                    found.add(secret)
        return found


def spellings(secret: str) -> Iterator[bytes]:
    """Yield plain text, base64 at each offset, hexadecimal, percent-encoding and JSON escapes.

    UTF-16 is decoded in the searched content.
    """
    plain = secret[-LAST:].encode()
    yield plain
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + plain)[4 if before else 0 : -4]
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield b"".join(b"%%%02X" % byte for byte in plain)
    yield b"".join(rb"\u%04x" % byte for byte in plain)


def files_in(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def _windows(spelling: bytes) -> Iterator[bytes]:
    yield from (spelling[at : at + WINDOW] for at in range(0, len(spelling) - WINDOW + 1, 4))


def _texts(content: bytes) -> Iterator[bytes]:
    yield from (match[0] for match in TEXT.finditer(content))
    yield from (match[0][::2] for match in WIDE.finditer(content))
