"""Limits: how many logins an account is asked for, how many calls a key may make, and how much
a tenant may have under way at platforms.

The owner of an account shares its daily logins with all their other apps, so we spend few. Of
what we spend, guesses can use up a part alone: the rest is kept for connections that exist.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import monotonic

from service.errors import PlatformRateLimited, RateLimitExceeded
from service.model import DAY, SECOND, Account, Micros, PlatformCard
from service.ports import Clock, Store
from service.records import Allow, Debit, LoginPurpose

SHORT: Micros = 5 * 60 * SECOND
TRY_AGAIN_SECONDS = 1.0
MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Budget:
    """So many logins of one account in five minutes, and so many a day."""

    in_5_minutes: int
    a_day: int

    def wait(self, spent: Iterable[Micros], now: Micros) -> Micros:
        """How long until one more fits; 0, if it does now."""
        times = sorted(spent)
        longest = 0
        for most, window in ((self.in_5_minutes, SHORT), (self.a_day, DAY)):
            recent = [at for at in times if at > now - window]
            if len(recent) >= most:
                # with a budget of none, as long as the window is
                frees = recent[-most] if most else now
                longest = max(longest, frees + window - now)
        return longest


@dataclass(frozen=True, slots=True)
class LoginBudgets:
    """What may be spent on one account at its server: in all, by connects of tenants that are not
    connected to it, and by one tenant's connects."""

    total: Budget
    connects: Budget
    tenant: Budget


class LoginLimits:
    """Debits each login before it is made, and never gives one back."""

    def __init__(self, store: Store, clock: Clock, budgets: LoginBudgets) -> None:
        self._store = store
        self._clock = clock
        self._budgets = budgets

    async def spend(
        self, tenant_id: str, card: PlatformCard, account: Account, purpose: LoginPurpose
    ) -> None:
        """Debit one login, or raise RateLimitExceeded or PlatformRateLimited: then none may be
        made."""
        now = self._clock.now()
        debit = Debit(account.account_id, account.origin, tenant_id, purpose, now)
        await self._store.debit(debit, self._rule(card, debit))

    async def pause(self, account: Account, until: Micros) -> None:
        """Heed the platform, which wants no login of this account until then."""
        until = min(until, self._clock.now() + DAY)
        await self._store.pause_logins(account.account_id, account.origin, until)

    def _rule(self, card: PlatformCard, debit: Debit) -> Allow:
        def allow(spent: Sequence[Debit], paused_until: Micros | None, connected: bool) -> None:
            if paused_until is not None and paused_until > debit.at:
                pause = (paused_until - debit.at) / SECOND
                raise PlatformRateLimited(card.platform, card.display_name, pause)
            waits = [self._budgets.total.wait((one.at for one in spent), debit.at)]
            if debit.purpose is LoginPurpose.CONNECT:
                connects = [one for one in spent if one.purpose is LoginPurpose.CONNECT]
                own = (one.at for one in connects if one.tenant_id == debit.tenant_id)
                waits.append(self._budgets.tenant.wait(own, debit.at))
                if not connected:
                    # who holds a connection has proved the account, and may use what is kept
                    # from those who guess
                    waits.append(
                        self._budgets.connects.wait((one.at for one in connects), debit.at)
                    )
            if any(waits):
                raise RateLimitExceeded(max(waits) / SECOND)

        return allow


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
        self._per_second = per_second
        # of each key: how many calls it has left, and when that was so
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str) -> None:
        """Count a call; raises RateLimitExceeded where the key has none left."""
        now = monotonic()
        left, then = self._left.pop(key_id, (float(self._per_second), now))
        left = min(self._per_second, left + (now - then) * self._per_second)
        self._left[key_id] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
        if left < 1:
            raise RateLimitExceeded(ceil((1 - left) / self._per_second))

    def allowance(self, key_id: str) -> Allowance:
        """What the key's last call has left it."""
        left, _ = self._left.get(key_id, (float(self._per_second), 0))
        return Allowance(self._per_second, int(left), 1 - left / self._per_second)


class Shares:
    """So much of each tenant's at once, in this process: a tenant whose accounts lead to servers
    that hang takes its own share of the way out, and none of the others'.

    What is beyond it is refused at once. Were it to wait, the calls that wait would take the room
    that all tenants' calls have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, tenant_id: str) -> Iterator[None]:
        """One more, for as long as the block lasts; raises RateLimitExceeded before it begins."""
        if self._taken[tenant_id] >= self._most:
            raise RateLimitExceeded(TRY_AGAIN_SECONDS)
        self._taken[tenant_id] += 1
        try:
            yield
        finally:
            self._taken[tenant_id] -= 1
            if not self._taken[tenant_id]:
                del self._taken[tenant_id]
