"""Backoff: delays the next attempt at a session that could not be used or renewed.

While a server is unavailable, every caller's attempt may cost the account a login. The wait
doubles, so that an outage of hours does not use up the logins of the day.
"""

import copy
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

from service.domain.errors import PlatformRateLimited, PlatformUnavailable, ServiceError
from service.domain.model import PlatformUnavailableCause
from service.domain.records import ConnectionKey, Envelope, StoredConnection

MIN_WAIT_SECONDS = 5.0
MAX_WAIT_SECONDS = 300.0
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class _Failure:
    session: Envelope
    times: int
    until: float
    error: ServiceError


class Backoff:
    """Remembers, in this process, the latest failure of each session."""

    def __init__(self) -> None:
        self._all: OrderedDict[ConnectionKey, _Failure] = OrderedDict()

    def check(self, stored: StoredConnection) -> None:
        """Raise the error of the latest attempt at the session until its wait is over."""
        failure = self._all.get(stored.address.key)
        if failure is None or failure.session != stored.session:
            return
        wait = failure.until - monotonic()
        if wait > 0:
            error = copy.copy(failure.error)
            if error.retry_after is not None:
                error.retry_after = wait
            raise error

    def limit(self, stored: StoredConnection) -> PlatformRateLimited | None:
        """Return the platform's own limit, if the latest attempt met one that is not over."""
        try:
            self.check(stored)
        except PlatformRateLimited as error:
            return error
        except ServiceError:
            pass
        return None

    def note(self, tried: StoredConnection, left: StoredConnection, error: ServiceError) -> None:
        """Remember the *error* of an attempt at the session in *tried*, which left the session in
        *left*."""
        earlier = self._all.pop(tried.address.key, None)
        times = 1 if earlier is None or earlier.session != tried.session else earlier.times + 1
        wait = min(MIN_WAIT_SECONDS * 2.0 ** min(times - 1, 20), MAX_WAIT_SECONDS)
        is_outage = (
            isinstance(error, PlatformUnavailable)
            and error.cause is not PlatformUnavailableCause.SERVER_CHANGED
        )
        if not is_outage:
            # the error says how long it lasts
            wait = max(wait, error.retry_after or 0)
        # a copy has no traceback, whose frames may hold secrets
        kept = copy.copy(error)
        self._all[tried.address.key] = _Failure(left.session, times, monotonic() + wait, kept)
        if len(self._all) > MAX_SESSIONS:
            self._all.popitem(last=False)

    def clear(self, renewed: StoredConnection) -> None:
        """Remove all failures of the connection."""
        self._all.pop(renewed.address.key, None)
