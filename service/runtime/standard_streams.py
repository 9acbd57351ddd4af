"""Standard input, output and error: always open, even if the process started without them."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def open_missing() -> None:
    """Open /dev/null in place of each standard stream that is closed.

    Otherwise the next file or socket would take its number, and libuv aborts when it closes that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
    # Python sets a stream to None if it was closed at the start
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()


def discard(stream: TextIO) -> None:
    """Send what *stream* has buffered, and all later output, to /dev/null."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
