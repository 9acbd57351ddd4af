"""Schedule: when a connection is checked next, and when its password may be tried again."""

import random
from dataclasses import dataclass

from service.domain.model import SECOND, Micros, ReconnectReason

HOUR: Micros = 3600 * SECOND
DOUBT: Micros = 5 * 60 * SECOND
"""The wait after a first check that could not tell; it doubles with each one more."""
JITTER = 0.1
"""How far a wait may differ from what it is meant to be, as a part of it."""
REFUSALS: tuple[Micros, ...] = (HOUR, 6 * HOUR, 24 * HOUR)
"""The waits after a first, a second and every later refusal of a password."""
HEALS: tuple[Micros, ...] = (0, 5 * 60 * SECOND, 15 * 60 * SECOND, *REFUSALS)
"""The waits after a first, a second and every later login that worked, and no refresh has worked in
between. The short ones are for processes that are killed between a refresh and its commit."""
LONGEST_OUTAGE: Micros = HOUR
"""The longest wait after a login without a result."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every connection about every *interval*, with jitter, so that no crowd stays one."""

    interval: Micros

    def after_proof(self, now: Micros) -> Micros:
        return now + self._about(self.interval)

    def after_doubt(self, now: Micros, doubts: int, at_least: Micros = 0) -> Micros:
        """*doubts*: how many checks in a row could not tell, this one included."""
        return now + max(self._about(self._doubt_wait(doubts)), at_least)

    def doubts(self, now: Micros, checked_at: Micros | None, doubts: int) -> int:
        """How many checks in a row could not tell, after one more than *doubts*.

        A check before the wait after the last one is over does not count: callers that verify every
        few seconds would put off the next check for hours.
        """
        since = -1 if checked_at is None else now - checked_at
        is_early = doubts > 0 and 0 <= since < self._doubt_wait(doubts) * (1 - JITTER)
        return doubts if is_early else doubts + 1

    def after_break(
        self, now: Micros, reason: ReconnectReason, login_after: Micros | None
    ) -> Micros:
        """*login_after*: when the password may be tried again, if it was refused."""
        usual = self.after_proof(now)
        if login_after is None or login_after <= now:
            # a wait that is over says nothing of the next check: what was found needed no login
            return usual
        if reason is ReconnectReason.APP_PASSWORD_REVOKED:
            return login_after  # no check finds anything else before
        return min(usual, login_after)

    @staticmethod
    def login_after(now: Micros, refusals: int) -> Micros:
        """*refusals*: how many in a row, this one included."""
        return now + REFUSALS[min(refusals, len(REFUSALS)) - 1]

    @staticmethod
    def login_after_heal(now: Micros, earlier: int) -> Micros | None:
        """After a login that worked; *earlier*: how many there were since a refresh has worked.

        None for the first. A server that takes passwords and refreshes no session would be asked
        for a login by each check.
        """
        wait = HEALS[min(earlier, len(HEALS) - 1)]
        return now + wait if wait else None

    @staticmethod
    def login_after_outage(now: Micros, doubts: int) -> Micros:
        """After a login without a result; *doubts*: how many checks in a row could not tell, this
        one included."""
        return now + min(DOUBT << min(doubts - 1, 20), LONGEST_OUTAGE)

    @staticmethod
    def login_wait(now: Micros, login_after: Micros | None) -> Micros:
        """How long the password is left alone yet; 0, where it may be tried.

        A time further ahead than any wait is of a clock that has been put back since.
        """
        wait = 0 if login_after is None else login_after - now
        return wait if 0 < wait <= REFUSALS[-1] else 0

    def _doubt_wait(self, doubts: int) -> Micros:
        return min(DOUBT << min(doubts - 1, 20), self.interval)

    @staticmethod
    def _about(wait: Micros) -> Micros:
        return int(wait * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
