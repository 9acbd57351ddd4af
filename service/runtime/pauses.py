"""Pauses between polls of something that another process changes."""

import random
from collections.abc import Iterator

MIN_SHARE = 0.75
"""Of each pause, at least: jitter keeps processes from polling together."""


def doubling(min_seconds: float, max_seconds: float) -> Iterator[float]:
    """Yield pauses in seconds, endlessly: each twice the last, up to *max_seconds*, less jitter."""
    pause = min_seconds
    while True:
        yield pause * random.uniform(MIN_SHARE, 1)  # noqa: S311 - a pause
        pause = min(2 * pause, max_seconds)
