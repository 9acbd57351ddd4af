"""Buckets: token buckets by key, the means of every limit of a rate."""

from collections import OrderedDict
from time import monotonic

MAX_KEYS = 10_000


class Buckets:
    """Of each key *per_second* tokens a second, and at most *burst* saved up. In this process.

    The MAX_KEYS keys used last are known; any other has a full bucket.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self.burst = burst
        # of each key: the tokens it had left, and when that was so
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, key: str) -> float:
        """The tokens of *key* now."""
        left, then = self._left.get(key, (self.burst, 0.0))
        return min(self.burst, left + (monotonic() - then) * self.per_second)

    def wait(self, key: str) -> float:
        """The seconds until *key* has a token; 0 if it has one."""
        return max(0.0, (1 - self.left(key)) / self.per_second)

    def take(self, key: str) -> float:
        """Take a token. Returns 0, or the seconds until there is one, and then takes none."""
        left = self.left(key)
        taken = left >= 1
        self._left[key] = (left - 1 if taken else left, monotonic())
        self._left.move_to_end(key)
        if len(self._left) > MAX_KEYS:
            self._left.popitem(last=False)
        return 0 if taken else (1 - left) / self.per_second
