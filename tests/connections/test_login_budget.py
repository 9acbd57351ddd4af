"""Login budgets: the logins of an account, and the part that guesses cannot spend."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.rate_limits import CallLimits
from service.connections.login_budget import FIRST_AFTER, Budget, LoginBudget, LoginBudgets
from service.domain.errors import PlatformRateLimited, RateLimitExceeded
from service.domain.model import DAY, SECOND, Account, Micros
from service.domain.records import Allow, Debit, LoginPurpose
from service.platforms.bluesky.card import CARD
from service.sandbox.faults import LoginWindows
from service.storage.login_budget import DEBITS_KEPT
from service.storage.store import SqlStore
from tests.figures.guesses import guess
from tests.support.bluesky import CREATE, Bluesky, SandboxBluesky
from tests.support.engines import on_both, opened
from tests.support.running import Running, running

engine = on_both

CONNECT, UPKEEP = LoginPurpose.CONNECT, LoginPurpose.UPKEEP
ALICE = Account("did:plc:alice", "alice.test", "https://a.example")
BOB = Account("did:plc:b", "b", "o")
BUDGETS = LoginBudgets(Budget(10, 50), Budget(7, 35), Budget(5, 20))


class Clock:
    """A clock that the test sets."""

    at: Micros = 1_800_000_000 * SECOND

    def now(self) -> Micros:
        return self.at


class Memory:
    """The part of a store that budgets use: a list of debits, and the connected tenants."""

    def __init__(self) -> None:
        self.spent: list[Debit] = []
        self.connected: set[str] = set()

    async def debit(self, debit: Debit, allow: Allow) -> None:
        self.spent = [one for one in self.spent if one.at > debit.at - DEBITS_KEPT]
        allow(self.spent, None, debit.tenant_id in self.connected)
        self.spent.append(debit)


async def nothing() -> None: ...


class Limits:
    """Login limits on a store of their own."""

    def __init__(self, store: Any, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.limits = LoginBudget(store, clock, BUDGETS)

    async def spend(
        self, purpose: LoginPurpose = CONNECT, tenant: str = "a", account: Account = ALICE
    ) -> float:
        """Spend a login and return 0, or return the seconds to wait."""
        try:
            await self.limits.spend(tenant, CARD, account, purpose)
        except (RateLimitExceeded, PlatformRateLimited) as error:
            return error.retry_after or -1
        return 0


@pytest.fixture
async def limits(database_url: str) -> AsyncIterator[Limits]:
    store = SqlStore(await opened(database_url))
    yield Limits(store.login_budget, Clock())
    await store.close()


@pytest.fixture
def fast() -> Limits:
    """Limits in memory, for tests of many days."""
    return Limits(Memory(), Clock())


async def test_one_tenants_connects(limits: Limits) -> None:
    """Five in five minutes, four of them repeated ones. The sixth is rejected with its exact retry
    time."""
    for _ in range(5):
        assert await limits.spend() == 0
        limits.clock.at += SECOND
    assert await limits.spend() == 296
    limits.clock.at += 296 * SECOND - 1
    assert await limits.spend() > 0
    limits.clock.at += 1
    assert await limits.spend() == 0


async def test_all_connects_and_the_reserve(limits: Limits) -> None:
    """Other tenants can spend seven logins together; three more are reserved for existing
    connections."""
    spent = [await limits.spend(tenant=str(number)) for number in range(20)]
    assert spent.count(0) == 7
    assert [await limits.spend(UPKEEP) for _ in range(4)].count(0) == 3
    assert await limits.spend(tenant="fresh", account=BOB) == 0
    other_server = Account(ALICE.account_id, ALICE.username, "https://b.example")
    assert await limits.spend(account=other_server) == 0


async def test_a_day(limits: Limits) -> None:
    """The limits of 24 hours are 35 logins by connects and 50 in all; the oldest debit expires
    first."""
    start = limits.clock.at
    connects = upkeep = 0
    for burst in range(10):
        for number in range(12):
            connects += await limits.spend(tenant=f"{burst}-{number}") == 0
        for _ in range(6):
            upkeep += await limits.spend(UPKEEP) == 0
        limits.clock.at += 300 * SECOND
    assert (connects, upkeep) == (35, 15)
    wait = await limits.spend(tenant="late")
    assert limits.clock.at + wait * SECOND == start + DAY
    limits.clock.at = start + DAY
    assert await limits.spend(tenant="late") == 0


async def test_debits_are_deleted_after_44_hours(limits: Limits) -> None:
    """A debit counts for a day. For 20 more hours, an earlier connect makes a later one count as
    repeated."""
    await limits.spend()
    await limits.limits.pause(ALICE, limits.clock.at + 90 * SECOND)
    limits.clock.at += DAY + FIRST_AFTER
    await limits.spend(account=BOB)
    await limits.limits.pause(BOB, limits.clock.at + 90 * SECOND)
    assert not await limits.store.delete_expired(limits.clock.at)
    for table in ("login_debits", "login_pauses"):
        rows = await limits.store._engine.read(f"SELECT account_id FROM {table}")
        assert [row["account_id"] for row in rows] == ["did:plc:b"]


async def test_the_cleanup_redates_nothing_of_the_last_day(limits: Limits) -> None:
    """A debit keeps its time even if the clean-up read the clock before it was written."""
    await limits.spend()
    assert not await limits.store.delete_expired(limits.clock.at - DAY + 1)
    [row] = await limits.store._engine.read("SELECT at FROM login_debits")
    assert row["at"] == limits.clock.at


async def test_debits_are_deleted_in_batches(
    limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are deleted. Debits written by a clock ahead are first set to now."""
    monkeypatch.setattr("service.storage.login_budget.BATCH", 3)
    start = limits.clock.at
    for number in range(7):
        await limits.spend(account=Account(f"did:plc:{number}", "a.example", ALICE.origin))
        limits.clock.at += 1
    assert [await limits.store.delete_expired(start - 2 * DAY) for _ in range(3)] == [
        True,
        True,
        False,
    ]
    dates = await limits.store._engine.read("SELECT at FROM login_debits")
    assert [row["at"] for row in dates] == [start - 2 * DAY] * 7
    limits.clock.at = start
    for number in range(7):
        await limits.spend(account=Account(f"did:plc:{number}", "a.example", ALICE.origin))
        limits.clock.at += 1
    later = start + DEBITS_KEPT + 7
    # debits of one microsecond are deleted together
    assert [await limits.store.delete_expired(later) for _ in range(4)] == [True, True, True, False]
    assert await limits.store._engine.read("SELECT 1 FROM login_debits") == []


async def guess_for_days(
    limits: Limits, tenants: int, days: int, *, others: Callable[[], Awaitable[None]] = nothing
) -> list[float]:
    """Return the waits of a newcomer's first try of each day, at different hours, while *tenants*
    guess at the maximum rate; 0 means that the try was allowed."""
    waits, start = [], limits.clock.at
    tries = {day * 24 * 60 + (day * 7 + 9) % 24 * 60 + 3 for day in range(days)}
    for minute in range(days * 24 * 60):
        limits.clock.at = start + minute * 60 * SECOND
        for number in range(tenants):
            while await limits.spend(tenant=f"guesser-{number}") == 0:
                pass
        await others()
        if minute in tries:
            waits.append(await limits.spend(tenant="newcomer"))
    return waits


async def test_two_guessing_tenants_do_not_block_a_first_connect(fast: Limits) -> None:
    """A third tenant's first connect of each day is allowed on its first try."""
    assert await guess_for_days(fast, 2, 3) == [0, 0, 0]


async def test_two_connected_tenants_do_not_block_a_first_connect(fast: Limits) -> None:
    """The same holds if the two have proved the account, for any number of connects and checks of
    theirs."""
    fast.store.connected = {"guesser-0", "guesser-1"}

    async def upkeep() -> None:
        while await fast.spend(UPKEEP, tenant="guesser-0") == 0:
            pass

    assert await guess_for_days(fast, 2, 3, others=upkeep) == [0, 0, 0]


@pytest.mark.parametrize("tenants", [3, 5])
@pytest.mark.slow
async def test_a_few_guessing_tenants_delay_a_first_connect(fast: Limits, tenants: int) -> None:
    """The delay is at most five minutes, since the guessers share the logins of first connects."""
    waits = await guess_for_days(fast, tenants, 3)
    assert max(waits) <= 300


async def test_a_lone_tenant_can_spend_its_whole_budget(fast: Limits) -> None:
    """Five in five minutes and 20 a day, with or without reserved first connects."""
    spent = []
    for _ in range(24 * 12):
        spent.append([await fast.spend() for _ in range(9)].count(0))
        fast.clock.at += 300 * SECOND
    assert spent[:6] == [5, 4, 4, 4, 3, 0]
    assert sum(spent) == 20


@given(
    st.lists(
        st.tuples(
            st.integers(0, 44 * 3600), st.sampled_from("abcd"), st.sampled_from(LoginPurpose)
        ),
        max_size=80,
    ).map(sorted),
    st.sampled_from("abcd"),
    st.sampled_from(LoginPurpose),
    st.booleans(),
)
def test_every_reported_wait_is_exact(
    times: list[tuple[int, str, LoginPurpose]], tenant: str, purpose: LoginPurpose, connected: bool
) -> None:
    """After exactly that time the same login is allowed, unless others were spent meanwhile, and
    not a microsecond earlier."""
    limits = LoginBudget(Memory(), Clock(), BUDGETS)  # type: ignore[arg-type]
    place = (ALICE.account_id, ALICE.origin)
    spent = [Debit(*place, by, why, at * SECOND) for at, by, why in times]

    def wait(now: Micros) -> float:
        debit = Debit(*place, tenant, purpose, now)
        kept = [one for one in spent if one.at > now - DAY - FIRST_AFTER]
        try:
            limits._rule(CARD, debit)(kept, None, connected)
        except RateLimitExceeded as error:
            return error.retry_after or 0
        return 0

    now = 44 * 3600 * SECOND
    if seconds := wait(now):
        assert wait(now + round(seconds * SECOND)) == 0
        assert wait(now + round(seconds * SECOND) - 1) > 0


@pytest.mark.parametrize("hours", [1, 24 * 365])
async def test_a_clock_that_was_set_back(limits: Limits, hours: int) -> None:
    """Earlier debits count as of now: no wait exceeds its window, and no login is refunded. A pause
    over the maximum length is ignored."""
    for number in range(7):
        await limits.spend(tenant=str(number))
    await limits.limits.pause(BOB, limits.clock.at + DAY)
    limits.clock.at -= hours * 3600 * SECOND
    assert await limits.spend(tenant="fresh") == 300
    assert await limits.spend(account=BOB) == 0
    limits.clock.at += 300 * SECOND
    assert await limits.spend(tenant="fresh") == 0
    limits.clock.at += DAY
    assert await limits.spend(account=BOB) == 0


async def test_a_pause_is_the_accounts_own(limits: Limits) -> None:
    """The platform's limit applies to that account, upkeep included, and expires."""
    await limits.limits.pause(ALICE, limits.clock.at + 90 * SECOND)
    assert await limits.spend() == 90
    assert await limits.spend(UPKEEP) == 90
    assert await limits.spend(account=BOB) == 0
    limits.clock.at += 90 * SECOND
    assert await limits.spend() == 0


async def test_a_shorter_pause_does_not_end_a_longer_one(limits: Limits) -> None:
    """Two simultaneous logins may each report another wait."""
    for seconds in (90, 30, 60):
        await limits.limits.pause(ALICE, limits.clock.at + seconds * SECOND)
        assert await limits.spend() == 90
    await limits.limits.pause(ALICE, limits.clock.at + 120 * SECOND)
    assert await limits.spend() == 120


@pytest.mark.parametrize("years", [0.01, 10])
async def test_a_pause_from_a_wrong_clock_blocks_no_login(limits: Limits, years: float) -> None:
    """This holds without earlier debits, and whether the clock was ahead or behind."""
    wrong = int(years * 365 * DAY)
    limits.clock.at += wrong
    await limits.limits.pause(ALICE, limits.clock.at + 90 * SECOND)
    limits.clock.at -= wrong
    await limits.limits.pause(ALICE, limits.clock.at + 120 * SECOND)
    assert await limits.spend() == 120
    await limits.limits.pause(ALICE, limits.clock.at + 60 * SECOND)
    assert await limits.spend() == 120
    limits.clock.at -= wrong
    assert await limits.spend() == 0
    await limits.limits.pause(ALICE, limits.clock.at + 60 * SECOND)
    limits.clock.at += wrong
    assert await limits.spend() == 0


def test_a_pause_longer_than_the_maximum_is_ignored(fast: Limits) -> None:
    """The rule ignores it even if the store returns it."""
    debit = Debit(ALICE.account_id, ALICE.origin, "a", UPKEEP, fast.clock.at)
    allow = fast.limits._rule(CARD, debit)
    allow([], fast.clock.at + DAY + 1, False)
    allow([], fast.clock.at, False)
    for ahead in (1, DAY):
        with pytest.raises(PlatformRateLimited):
            allow([], fast.clock.at + ahead, False)


async def test_a_hundred_at_once_spend_no_more(limits: Limits) -> None:
    """The store commits the debit before the login."""
    spent = await asyncio.gather(*(limits.spend(tenant=str(number)) for number in range(100)))
    assert spent.count(0) == 7


@given(
    st.lists(st.integers(0, 2 * DAY // SECOND), max_size=60).map(sorted),
    st.integers(0, 12),
    st.integers(0, 60),
)
def test_a_login_fits_after_the_reported_wait(times: list[int], short: int, long: int) -> None:
    """After the wait one more login is allowed, and not a microsecond earlier."""
    spent = [at * SECOND for at in times]
    now = 2 * DAY
    budget = Budget(short or 1, long or 1)
    wait = budget.wait(spent, now)
    assert budget.wait(spent, now + wait) == 0
    if wait:
        assert budget.wait(spent, now + wait - 1) > 0


async def test_over_the_budget_no_request_is_sent(service: Running, bluesky: Bluesky) -> None:
    """The error is RATE_LIMIT_EXCEEDED with RetryInfo; requests are counted at the server."""
    person = await bluesky.person()
    before = (await bluesky.counts()).get(CREATE, 0)
    for _ in range(5):
        refusal = await service.refused(person.handle, "abcd-efgh-ijkl-mnop")
        assert refusal.reason == "INVALID_CREDENTIALS"
    refusal = await service.refused(person.handle, person.app_password)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMIT_EXCEEDED",
    )
    assert refusal.retry_after is not None
    assert 1 <= refusal.retry_after <= 300
    assert (await bluesky.counts())[CREATE] == before + 5


@pytest.mark.slow
async def test_guesses_never_lock_the_owner_out(service: Running, bluesky: Bluesky) -> None:
    """50 tenants send wrong passwords while the owner reconnects and verifies: the owner's logins
    succeed, and at most 10 logins reach the server."""
    guessed = await guess(service, bluesky, 1_000 if isinstance(bluesky, SandboxBluesky) else 200)
    assert guessed.reasons.keys() <= {"INVALID_CREDENTIALS", "RATE_LIMIT_EXCEEDED"}
    assert guessed.reasons["INVALID_CREDENTIALS"] <= 6  # the owner's was the first of seven
    assert guessed.logins <= 10


async def test_the_platforms_429_pauses_the_account(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """No request is sent for that account before the platform's reset time."""
    person, other = await sandbox.person(), await sandbox.person()
    sandbox.rate_limit(person)
    refusal = await sandboxed.refused(person.handle, person.app_password)
    assert refusal.reason == "PLATFORM_RATE_LIMITED"
    before = sandbox.logins
    refusal = await sandboxed.refused(person.handle, person.app_password)
    assert (refusal.code, refusal.reason, refusal.metadata) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "PLATFORM_RATE_LIMITED",
        {"platform": "bluesky"},
    )
    assert refusal.retry_after is not None
    assert refusal.retry_after > 100
    assert sandbox.logins == before
    await sandboxed.connect(other.handle, other.app_password)


async def test_no_login_follows_the_last_one_that_the_platform_allows(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """After a successful login with `ratelimit-remaining: 0`, no request is sent that would get a
    429."""
    person = await sandbox.person()
    sandbox.server.breakages.add(LoginWindows(limit=2), method="createSession")
    for _ in range(2):
        await sandboxed.connect(person.handle, person.app_password)
    refusal = await sandboxed.refused(person.handle, person.app_password)
    assert refusal.reason == "PLATFORM_RATE_LIMITED"
    assert refusal.retry_after is not None
    assert 100 < refusal.retry_after <= 300
    assert sandbox.logins == 2


async def test_no_login_follows_the_last_one_even_if_it_was_rejected(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """The rejection is returned unchanged; the next connect waits as after a successful login."""
    person = await sandbox.person()
    sandbox.server.breakages.add(LoginWindows(limit=2), method="createSession")
    for _ in range(2):
        refusal = await sandboxed.refused(person.handle, "aaaa-bbbb-cccc-dddd")
        assert refusal.reason == "INVALID_CREDENTIALS"
    refusal = await sandboxed.refused(person.handle, person.app_password)
    assert refusal.reason == "PLATFORM_RATE_LIMITED"
    assert refusal.retry_after is not None
    assert 100 < refusal.retry_after <= 300
    assert sandbox.logins == 2


async def test_calls_of_a_key_are_limited(sandbox: SandboxBluesky, database: Path) -> None:
    """The default is a thousand a second. With a limit of two, the third call is rejected for a
    second; another key's is not."""
    settings = {**sandbox.settings(), "CALLS_PER_SECOND": "2"}
    async with running(database, settings) as service:
        other, _ = await service.new_key()
        reasons = [(await service.refused("a", "b")).reason for _ in range(3)]
        assert reasons == ["INVALID_CREDENTIALS"] * 2 + ["RATE_LIMIT_EXCEEDED"]
        refusal = await service.refused("a", "b")
        assert refusal.retry_after == 1
        assert (await service.refused("a", "b", api_key=other)).reason == "INVALID_CREDENTIALS"


def test_a_bucket_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refills at the set rate up to its size. The number of remembered keys is capped."""
    now = 0.0
    monkeypatch.setattr("service.runtime.token_buckets.monotonic", lambda: now)
    monkeypatch.setattr("service.runtime.token_buckets.MAX_KEYS", 10)
    limits = CallLimits(10)
    for _ in range(10):
        limits.take("a")
    with pytest.raises(RateLimitExceeded):
        limits.take("a")
    now = 0.1
    limits.take("a")
    with pytest.raises(RateLimitExceeded):
        limits.take("a")
    now = 1000.0
    for _ in range(10):
        limits.take("a")
    with pytest.raises(RateLimitExceeded):
        limits.take("a")
    for number in range(100):
        limits.take(str(number))
    assert len(limits._buckets._left) == 10
