"""Rate limits: how many calls a key may make in a second."""

from dataclasses import dataclass
from math import ceil

from service.domain.errors import RateLimitExceeded
from service.runtime.token_buckets import Buckets


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may call: so many at once, so many of them left, and in how many seconds all
    are back."""

    limit: int
    remaining: int
    seconds: float


class CallLimits:
    """So many calls a second for each key, in this process."""

    def __init__(self, per_second: int) -> None:
        self._buckets = Buckets(per_second, per_second)

    def take(self, key_id: str) -> None:
        """Count a call; raises RateLimitExceeded where the key has none left."""
        if wait := self._buckets.take(key_id):
            raise RateLimitExceeded(ceil(wait))

    def allowance(self, key_id: str) -> Allowance:
        """What the key's last call has left it."""
        limit = int(self._buckets.burst)
        left = self._buckets.left(key_id)
        return Allowance(limit, int(left), 1 - left / limit)
