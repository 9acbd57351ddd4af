"""Standard streams: input, output and error are always open, whatever the process was given."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def open_missing() -> None:
    """Open /dev/null in the place of each standard stream that is closed.

    Else the next file or socket would take its number, and libuv aborts when it closes that one.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    # where one was closed when Python started, it is None
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()


def discard(stream: TextIO) -> None:
    """Send what *stream* still holds, and whatever is written to it later, to /dev/null."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
