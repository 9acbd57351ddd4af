"""Clock: the time of both sides, service and sandbox, which stands until it is moved."""

from service.domain.model import SECOND, Micros

START: Micros = 1_800_000_000 * SECOND


class HeldClock:
    """The time of day, and all that is counted by it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> Micros:
        """For the service."""
        return self.at

    def seconds(self) -> float:
        """For the sandbox, and in place of the machine's own monotonic clock."""
        return self.at / SECOND
