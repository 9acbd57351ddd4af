"""Clock: the time of service and sandbox, which stands still until it is moved."""

from service.domain.model import SECOND, Micros

START: Micros = 1_800_000_000 * SECOND


class HeldClock:
    """The time of day, and all intervals measured by it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> Micros:
        """Return the time for the service."""
        return self.at

    def seconds(self) -> float:
        """Return seconds for the sandbox, and as a replacement of the monotonic clock."""
        return self.at / SECOND
