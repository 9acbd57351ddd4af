"""Timeouts: the time limits whose values depend on each other."""

from dataclasses import dataclass

from service.domain.steps import MAX_REPLY_SECONDS


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. Raises ValueError if a limit is shorter than what it has to cover.

    *call*: a call whose caller set no deadline. *write*: one write transaction, its retries
    included. *connect*: identity and login together. *check*: all that one check or renewal asks of
    a platform.

    *reservation*: how long an idempotency key stays reserved for one attempt; a crash leaves it
    reserved as long. It covers the writes of the reservation, of a pause and of the login. If it
    expired before, a retry could make a second profile.

    *claim*: how long one check or renewal holds a connection; a crash leaves it claimed as long. It
    covers the writes of the claim, of a session and of the verdict. A check that logs in writes
    more; if every write took its whole limit, the fence would reject the last ones.

    *claim_wait*: how long a check or renewal waits for another's claim. *picked*: when a check that
    the monitor picked is due again, unless it was done.
    """

    call: float = 10.0
    write: float = 10.0
    connect: float = 15.0
    check: float = 8.5
    reservation: float = 45.0
    claim: float = 40.0
    claim_wait: float = 45.0
    picked: float = 120.0

    def __post_init__(self) -> None:
        minimums = {
            "call": self.check + MAX_REPLY_SECONDS,
            "reservation": self.connect + 3 * self.write,
            "claim": self.check + 3 * self.write,
            "claim_wait": self.claim,
            "picked": self.claim_wait + self.claim,
        }
        for name, minimum in minimums.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum:g} seconds")


TIMEOUTS = Timeouts()
