"""The login budget: how many logins of an account may be spent.

The owner of an account shares its daily logins with all their other apps, so we spend few. Guesses
can use up only a part of the budget: the rest is kept for connections that exist.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from service.domain.clock import Clock
from service.domain.errors import PlatformRateLimited, RateLimitExceeded
from service.domain.model import DAY, SECOND, Account, Micros, PlatformCard
from service.domain.records import Allow, Debit, LoginPurpose
from service.domain.store import LoginBudgetStore

SHORT: Micros = 5 * 60 * SECOND
FIRST_AFTER: Micros = 20 * 3600 * SECOND
"""A connect is a tenant's first at an account where the last is as old: less than a day, so that
one each day, at about the same hour, is always a first."""
LONGEST_PAUSE: Micros = DAY


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

    def without(self, part: "Budget") -> "Budget":
        """What is left of it beside *part*."""
        return Budget(self.in_5_minutes - part.in_5_minutes, self.a_day - part.a_day)


@dataclass(frozen=True, slots=True)
class LoginBudgets:
    """What may be spent on one account at its server: in all, by connects of tenants that are not
    connected to it, and by one tenant's connects.

    A tenant's first connect at the account in FIRST_AFTER has a part reserved, *firsts*, of which
    the repeated connects and the upkeep of other tenants can use up nothing.
    """

    total: Budget
    connects: Budget
    tenant: Budget

    @property
    def firsts(self) -> Budget:
        """Reserved for first connects: 40 % of what connects may spend, rounded up."""
        return Budget(
            _reserved(self.connects.in_5_minutes, self.total.in_5_minutes),
            _reserved(self.connects.a_day, self.total.a_day),
        )

    @property
    def repeats(self) -> Budget:
        """Shared by repeated connects of tenants that are not connected to the account."""
        return self.connects.without(self.firsts)

    @property
    def others(self) -> Budget:
        """Shared by all logins that are no first connects."""
        return self.total.without(self.firsts)


def _reserved(connects: int, total: int) -> int:
    # of a total of one, nothing: upkeep has to work
    return max(0, min(ceil(min(connects, total) * 2 / 5), total - 1))


class _Spent:
    """The logins spent on one account, by kind, each in order of time."""

    def __init__(self, spent: Iterable[Debit], tenant_id: str) -> None:
        self.all: list[Micros] = []
        self.connects: list[Micros] = []
        self.firsts: list[Micros] = []
        self.repeats: list[Micros] = []
        self.others: list[Micros] = []
        self.own: list[Micros] = []
        latest: dict[str, Micros] = {}
        for debit in sorted(spent, key=lambda debit: debit.at):
            at, tenant = debit.at, debit.tenant_id
            self.all.append(at)
            if debit.purpose is not LoginPurpose.CONNECT:
                self.others.append(at)
                continue
            self.connects.append(at)
            if tenant == tenant_id:
                self.own.append(at)
            if tenant not in latest or at - latest[tenant] >= FIRST_AFTER:
                self.firsts.append(at)
            else:
                self.repeats.append(at)
                self.others.append(at)
            latest[tenant] = at


class LoginBudget:
    """Debits each login before it is made, and never gives one back."""

    def __init__(self, store: LoginBudgetStore, clock: Clock, budgets: LoginBudgets) -> None:
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
        until = min(until, self._clock.now() + LONGEST_PAUSE)
        await self._store.pause_logins(account.account_id, account.origin, until)

    def _rule(self, card: PlatformCard, debit: Debit) -> Allow:
        def allow(spent: Sequence[Debit], paused_until: Micros | None, connected: bool) -> None:
            pause = 0 if paused_until is None else paused_until - debit.at
            # one that lasts longer than any is of a clock that has been put back since
            if 0 < pause <= LONGEST_PAUSE:
                raise PlatformRateLimited(card.platform, card.display_name, pause / SECOND)
            if wait := self._wait(_Spent(spent, debit.tenant_id), debit, connected=connected):
                raise RateLimitExceeded(wait / SECOND)

        return allow

    def _wait(self, spent: _Spent, debit: Debit, *, connected: bool) -> Micros:
        """How long until *debit* fits, if nothing else is spent meanwhile; 0, if it does now."""
        budgets, now = self._budgets, debit.at
        if debit.purpose is not LoginPurpose.CONNECT:
            return max(budgets.total.wait(spent.all, now), budgets.others.wait(spent.others, now))

        def as_first(at: Micros) -> Micros:
            # the reserved part, or what connects have left beside it
            limits = [budgets.total.wait(spent.all, at), budgets.tenant.wait(spent.own, at)]
            if not connected:
                reserved = budgets.firsts.wait(spent.firsts, at)
                limits.append(min(reserved, budgets.connects.wait(spent.connects, at)))
            return max(limits)

        first_at = spent.own[-1] + FIRST_AFTER if spent.own else now
        if first_at <= now:
            return as_first(now)
        limits = [
            budgets.total.wait(spent.all, now),
            budgets.others.wait(spent.others, now),
            budgets.tenant.wait(spent.own, now),
        ]
        if not connected:
            # a connected tenant has proved the account, and is not taken for one that guesses
            limits.append(budgets.connects.wait(spent.connects, now))
            limits.append(budgets.repeats.wait(spent.repeats, now))
        # by the end of a long wait it may be a first one again
        return min(max(limits), first_at - now + as_first(first_at))
