"""The clock: what the time of day is asked of."""

import time
from typing import Protocol

from service.domain.model import Micros


class Clock(Protocol):
    def now(self) -> Micros:
        """The time of day, in microseconds since the Unix epoch."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        return time.time_ns() // 1_000
