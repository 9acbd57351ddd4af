"""The login budget: how many logins of an account may be spent.

The platform limits an account's logins a day, and its owner needs them for other apps too. Password
guesses can use up only a part of the budget: the rest is kept for connections that exist.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from service.domain.clock import Clock
from service.domain.errors import PlatformRateLimited, RateLimitExceeded
from service.domain.model import DAY, SECOND, Account, Micros, PlatformCard
from service.domain.records import Allow, Debit, LoginPurpose
from service.domain.store import LoginBudgetStore

BURST_WINDOW: Micros = 5 * 60 * SECOND
FIRST_AFTER: Micros = 20 * 3600 * SECOND
"""A connect counts as a first if the tenant's previous connect to the account is at least this old.
Less than a day: one connect a day, at about the same hour, always counts as a first."""
MAX_PAUSE: Micros = DAY
REJECTION_WINDOW: Micros = 3600 * SECOND
"""In which `max_rejections` of a card counts."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The maximum of logins of one account in five minutes and in a day."""

    in_5_minutes: int
    a_day: int

    def wait(self, spent: Iterable[Micros], now: Micros) -> Micros:
        """Return how long until one more login fits; 0 if it fits now."""
        times = sorted(spent)
        limits = ((self.in_5_minutes, BURST_WINDOW), (self.a_day, DAY))
        return max(_wait(times, limit, window, now) for limit, window in limits)

    def without(self, part: "Budget") -> "Budget":
        """Return this budget less *part*."""
        return Budget(self.in_5_minutes - part.in_5_minutes, self.a_day - part.a_day)


def _wait(times: Sequence[Micros], limit: int, window: Micros, now: Micros) -> Micros:
    """Return how long until fewer than *limit* of the sorted *times* are in the *window*."""
    recent = [at for at in times if at > now - window]
    if len(recent) < limit:
        return 0
    # a limit of 0 waits as long as the window
    return (recent[-limit] if limit else now) + window - now


@dataclass(frozen=True, slots=True)
class LoginBudgets:
    """The budgets of one account at its server.

    *total* limits all logins. *connects* limits the connects of tenants that are not connected to
    the account; the connects of all tenants count. *tenant* limits the connects of one tenant.
    *firsts* is a part of *connects* for each tenant's first connect in FIRST_AFTER. Repeated
    connects and upkeep cannot spend it.
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
        """For repeated connects of tenants that are not connected: *connects* without *firsts*."""
        return self.connects.without(self.firsts)

    @property
    def unreserved(self) -> Budget:
        """For upkeep and repeated connects: *total* without *firsts*."""
        return self.total.without(self.firsts)


def _reserved(connects: int, total: int) -> int:
    # reserve nothing of a total of one: upkeep needs it
    return max(0, min(ceil(min(connects, total) * 2 / 5), total - 1))


class _Spent:
    """The logins spent on one account: times by kind, in order."""

    def __init__(self, spent: Iterable[Debit], tenant_id: str) -> None:
        self.all: list[Micros] = []
        self.connects: list[Micros] = []
        self.firsts: list[Micros] = []
        self.repeats: list[Micros] = []
        self.unreserved: list[Micros] = []
        self.own: list[Micros] = []
        latest: dict[str, Micros] = {}
        for debit in sorted(spent, key=lambda debit: debit.at):
            at, tenant = debit.at, debit.tenant_id
            self.all.append(at)
            if debit.purpose is not LoginPurpose.CONNECT:
                self.unreserved.append(at)
                continue
            self.connects.append(at)
            if tenant == tenant_id:
                self.own.append(at)
            if tenant not in latest or at - latest[tenant] >= FIRST_AFTER:
                self.firsts.append(at)
            else:
                self.repeats.append(at)
                self.unreserved.append(at)
            latest[tenant] = at


class LoginBudget:
    """Debits each login before it is made, and never refunds one."""

    def __init__(self, store: LoginBudgetStore, clock: Clock, budgets: LoginBudgets) -> None:
        self._store = store
        self._clock = clock
        self._budgets = budgets

    async def spend(
        self, tenant_id: str, card: PlatformCard, account: Account, purpose: LoginPurpose
    ) -> None:
        """Debit one login.

        Raises RateLimitExceeded or PlatformRateLimited if none may be made.
        """
        now = self._clock.now()
        # of connects alone: no tenant's guesses delay the upkeep of another's connection
        if card.max_rejections and purpose is LoginPurpose.CONNECT:
            await self._check_rejections(tenant_id, account.origin, card.max_rejections, now)
        debit = Debit(account.account_id, account.origin, tenant_id, purpose, now)
        await self._store.debit(debit, self._rule(card, debit))

    async def note_rejection(
        self, tenant_id: str, card: PlatformCard, account: Account, purpose: LoginPurpose
    ) -> None:
        """Record a rejected login, if the platform's sites limit these."""
        if card.max_rejections:
            origin, now = account.origin, self._clock.now()
            await self._store.add_rejection(Debit(origin, origin, tenant_id, purpose, now))

    async def _check_rejections(self, tenant_id: str, origin: str, most: int, now: Micros) -> None:
        """Raise RateLimitExceeded if the site *origin* has rejected *most* logins in an hour.

        One tenant may use up all but one. One later than now is of a clock that was set back.
        """
        rejected = await self._store.rejections(origin, now - REJECTION_WINDOW)
        rejected = sorted((each for each in rejected if each.at <= now), key=lambda each: each.at)
        own = [each.at for each in rejected if each.tenant_id == tenant_id]
        wait = max(
            _wait([each.at for each in rejected], most, REJECTION_WINDOW, now),
            _wait(own, max(1, most - 1), REJECTION_WINDOW, now),
        )
        if wait:
            raise RateLimitExceeded(wait / SECOND)

    async def pause(self, account: Account, until: Micros) -> None:
        """Block logins of this account until *until*, at most MAX_PAUSE from now."""
        until = min(until, self._clock.now() + MAX_PAUSE)
        await self._store.pause_logins(account.account_id, account.origin, until)

    def _rule(self, card: PlatformCard, debit: Debit) -> Allow:
        def allow(spent: Sequence[Debit], paused_until: Micros | None, connected: bool) -> None:
            pause = 0 if paused_until is None else paused_until - debit.at
            # ignore a longer pause: it was saved before the clock was set back
            if 0 < pause <= MAX_PAUSE:
                raise PlatformRateLimited(card.platform, card.display_name, pause / SECOND)
            wait = self._wait(_Spent(spent, debit.tenant_id), debit, connected=connected)
            if card.max_logins is not None:
                times = (each.at for each in spent)
                wait = max(wait, Budget(*card.max_logins).wait(times, debit.at))
            if wait:
                raise RateLimitExceeded(wait / SECOND)

        return allow

    def _wait(self, spent: _Spent, debit: Debit, *, connected: bool) -> Micros:
        """Return how long until *debit* fits if nothing else is spent; 0 if it fits now."""
        budgets, now = self._budgets, debit.at
        if debit.purpose is not LoginPurpose.CONNECT:
            return max(
                budgets.total.wait(spent.all, now), budgets.unreserved.wait(spent.unreserved, now)
            )

        def as_first(at: Micros) -> Micros:
            # the reserved part, or the rest of the connects' budget
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
            budgets.unreserved.wait(spent.unreserved, now),
            budgets.tenant.wait(spent.own, now),
        ]
        if not connected:
            # a connected tenant has proved the account: it does not guess passwords
            limits.append(budgets.connects.wait(spent.connects, now))
            limits.append(budgets.repeats.wait(spent.repeats, now))
        # at `first_at` the connect becomes a first, which may fit earlier
        return min(max(limits), first_at - now + as_first(first_at))
