"""Token buckets by key: the mechanism of every rate limit."""

from collections import OrderedDict
from time import monotonic

MAX_KEYS = 10_000


class Buckets:
    """A bucket for each key: *per_second* tokens a second, at most *burst* in store.

    Kept in this process, for the MAX_KEYS keys used last; every other key has a full bucket.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self.burst = burst
        # key → tokens left, and the time of that count
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, key: str) -> float:
        """Return the tokens of *key* now."""
        left, then = self._left.get(key, (self.burst, 0.0))
        return min(self.burst, left + (monotonic() - then) * self.per_second)

    def wait(self, key: str) -> float:
        """Return the seconds until *key* has a token; 0 if it has one."""
        return max(0.0, (1 - self.left(key)) / self.per_second)

    def take(self, key: str) -> float:
        """Take a token and return 0; if there is none, return the seconds until there is."""
        left = self.left(key)
        taken = left >= 1
        self._left[key] = (left - 1 if taken else left, monotonic())
        self._left.move_to_end(key)
        if len(self._left) > MAX_KEYS:
            self._left.popitem(last=False)
        return 0 if taken else (1 - left) / self.per_second
