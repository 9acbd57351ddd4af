"""When a message is tried again, and how long a receiver that fails is left alone."""

import random

from service.domain.model import SECOND, Micros

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
TRIES: tuple[Micros, ...] = (
    *(5 * SECOND, 5 * MINUTE, 30 * MINUTE),
    *(2 * HOUR, 5 * HOUR, 10 * HOUR),
)
"""From one try of a message to the next; the last repeats."""
PAUSE_AFTER = 3
"""Failures in a row after which a receiver is tried with one message at a time, after a pause."""
PAUSES: tuple[Micros, ...] = (5 * SECOND, 30 * SECOND, 5 * MINUTE, 30 * MINUTE, HOUR)
"""By the number of failures beyond PAUSE_AFTER; the last repeats."""
MAX_RETRY_AFTER: Micros = HOUR
"""Of what a receiver asks for in Retry-After, the part that is respected."""


def next_try(attempts: int, at: Micros) -> Micros:
    """Return when a message is tried again after *attempts* tries."""
    return at + _jittered(TRIES[min(attempts, len(TRIES)) - 1])


def resume_at(failures: int, at: Micros) -> Micros:
    """Return until when a receiver is left alone after that many failures in a row."""
    beyond = failures - PAUSE_AFTER
    return at if beyond < 0 else at + _jittered(PAUSES[min(beyond, len(PAUSES) - 1)])


def _jittered(wait: Micros) -> Micros:
    """Return *wait* or up to a tenth less: what failed together does not return together."""
    return int(wait * random.uniform(0.9, 1))  # noqa: S311 - no secret
