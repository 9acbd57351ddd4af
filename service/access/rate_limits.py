"""Rate limits: calls per second of one API key."""

from dataclasses import dataclass
from math import ceil

from service.domain.errors import RateLimitExceeded
from service.runtime.token_buckets import Buckets


@dataclass(frozen=True, slots=True)
class Allowance:
    """A key's rate limit: calls in a burst, calls left, and seconds until all are back."""

    limit: int
    remaining: int
    seconds: float


class CallLimits:
    """Caps the calls per second of each key, in this process."""

    def __init__(self, per_second: int) -> None:
        self._buckets = Buckets(per_second, per_second)

    def take(self, key_id: str) -> None:
        """Count a call; raise RateLimitExceeded if the key has none left."""
        if wait := self._buckets.take(key_id):
            raise RateLimitExceeded(ceil(wait))

    def allowance(self, key_id: str) -> Allowance:
        """Return the key's allowance after its last call."""
        limit = int(self._buckets.burst)
        left = self._buckets.left(key_id)
        return Allowance(limit, int(left), 1 - left / limit)
