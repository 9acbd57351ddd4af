"""Pauses between attempts at something that another process changes."""

import random
from collections.abc import Iterator

MIN_SHARE = 0.75


def doubling(
    min_seconds: float, max_seconds: float, *, min_share: float = MIN_SHARE
) -> Iterator[float]:
    """Yield pauses in seconds, endlessly: each twice the last, up to *max_seconds*, less jitter.

    Jitter leaves at least *min_share* of each pause. It keeps processes from trying together.
    """
    pause = min_seconds
    while True:
        yield pause * random.uniform(min_share, 1)  # noqa: S311 - a pause
        pause = min(2 * pause, max_seconds)
