"""Limits: the faults of having called too often, as the real server counts and words them."""

from dataclasses import dataclass, field

from service.sandbox.answer import Answer, Header
from service.sandbox.call import Call
from service.sandbox.fault import Fault

DAY = 24 * 3600


@dataclass
class RateLimit(Fault):
    """429 RateLimitExceeded, to be lifted in so many seconds."""

    name = "rate-limit"
    seconds: int = 300

    async def answer(self, call: Call) -> Answer:
        return _too_many(_limits(30, 0, 300, call.now() + self.seconds))


@dataclass
class LoginWindows(Fault):
    """The real server's windows: 30 logins in 5 minutes, 300 a day, for each spelling of a name."""

    name = "login-windows"
    limit: int = 30
    seconds: int = 300
    _windows: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict, init=False)

    async def answer(self, call: Call) -> Answer:
        if call.method != "createSession" or not call.identifier:
            return await call.truth()
        told: list[tuple[int, tuple[Header, ...]]] = []
        for limit, seconds in ((300, DAY), (self.limit, self.seconds)):
            end, used = self._windows.get((call.identifier, seconds), (0.0, 0))
            if end <= call.now():
                end, used = call.now() + seconds, 0
            self._windows[call.identifier, seconds] = end, used + 1
            left = limit - used - 1
            told.append((left, _limits(limit, max(left, 0), seconds, end)))
        left, headers = min(told, key=lambda item: item[0])
        if left < 0:
            return _too_many(headers)
        answer = await call.truth()
        return answer.holding(answer.body, *headers)


def _limits(limit: int, left: int, seconds: int, end: float) -> tuple[Header, ...]:
    # and no retry-after: the real server has none
    return (
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-reset", b"%d" % end),
        (b"ratelimit-remaining", b"%d" % left),
        (b"ratelimit-policy", b"%d;w=%d" % (limit, seconds)),
    )


def _too_many(limits: tuple[Header, ...]) -> Answer:
    told = {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}
    return Answer.json(429, told, *limits)
