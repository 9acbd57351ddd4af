"""Schedule: when a connection is checked next, and when its password may be tried again."""

import random
from dataclasses import dataclass

from service.domain.model import SECOND, Micros, ReconnectReason

HOUR: Micros = 3600 * SECOND
DOUBT_WAIT: Micros = 5 * 60 * SECOND
"""The wait after a first check that proved nothing; it doubles with each further one."""
JITTER = 0.1
"""How far a wait may differ from its intended length, as a part of that."""
REJECTION_WAITS: tuple[Micros, ...] = (HOUR, 6 * HOUR, 24 * HOUR)
"""The waits after a first, a second and every later rejection of a password."""
SUCCESS_WAITS: tuple[Micros, ...] = (0, 5 * 60 * SECOND, 15 * 60 * SECOND, *REJECTION_WAITS)
"""The waits after a first, a second and every later login that worked, without a successful refresh
in between. The short ones are for processes that are killed between a refresh and its commit."""
MAX_OUTAGE_WAIT: Micros = HOUR
"""After a login without a result."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedules each connection about every *interval*, with jitter to spread them."""

    interval: Micros

    def after_proof(self, now: Micros) -> Micros:
        return now + self._about(self.interval)

    def after_doubt(self, now: Micros, doubts: int, at_least: Micros = 0) -> Micros:
        """*doubts*: how many checks in a row proved nothing, this one included."""
        return now + max(self._about(self._doubt_wait(doubts)), at_least)

    def doubts(self, now: Micros, checked_at: Micros | None, doubts: int) -> int:
        """Return how many checks in a row proved nothing, after *doubts* and another one.

        A check before the last one's wait is over does not count: callers that verify every few
        seconds would delay the next check for hours.
        """
        since = -1 if checked_at is None else now - checked_at
        is_early = doubts > 0 and 0 <= since < self._doubt_wait(doubts) * (1 - JITTER)
        return doubts if is_early else doubts + 1

    def after_break(
        self, now: Micros, reason: ReconnectReason, login_after: Micros | None
    ) -> Micros:
        """*login_after*: when the password may be tried again, if it was rejected."""
        usual = self.after_proof(now)
        if login_after is None or login_after <= now:
            # the wait is over: this result needed no login
            return usual
        if reason is ReconnectReason.APP_PASSWORD_REVOKED:
            return login_after  # an earlier check finds the same
        return min(usual, login_after)

    @staticmethod
    def login_after_rejection(now: Micros, answered: int) -> Micros:
        """*answered*: how many logins since the last successful refresh, this one included."""
        return now + REJECTION_WAITS[min(answered, len(REJECTION_WAITS)) - 1]

    @staticmethod
    def login_after_success(now: Micros, earlier: int) -> Micros | None:
        """*earlier*: how many logins since the last successful refresh, without this one.

        None for the first. Without the wait, each check would log in at a server that accepts
        passwords and refreshes no session.
        """
        wait = SUCCESS_WAITS[min(earlier, len(SUCCESS_WAITS) - 1)]
        return now + wait if wait else None

    @staticmethod
    def login_after_outage(now: Micros, doubts: int) -> Micros:
        """After a login without a result; *doubts*: how many checks in a row proved nothing, this
        one included."""
        return now + min(DOUBT_WAIT << min(doubts - 1, 20), MAX_OUTAGE_WAIT)

    @staticmethod
    def login_wait(now: Micros, login_after: Micros | None) -> Micros:
        """Return how long until the password may be tried again; 0 if it may be tried now.

        A time further ahead than any wait is from a clock that was set back since.
        """
        wait = 0 if login_after is None else login_after - now
        return wait if 0 < wait <= REJECTION_WAITS[-1] else 0

    def _doubt_wait(self, doubts: int) -> Micros:
        return min(DOUBT_WAIT << min(doubts - 1, 20), self.interval)

    @staticmethod
    def _about(wait: Micros) -> Micros:
        return int(wait * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
