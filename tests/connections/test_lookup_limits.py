"""Look-ups of accounts: their rate for a tenant and for a host."""

from pathlib import Path

import pytest

from service.connections.lookup_limits import HOST_BURST_SECONDS, TENANT_BURST_SECONDS, LookupLimits
from service.domain.errors import RateLimitExceeded
from tests.support.bluesky import SandboxBluesky
from tests.support.running import running

PER_TENANT, PER_HOST = 2, 20


class Time:
    """The clock of the limits, which the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("service.runtime.token_buckets.monotonic", time)
    return time


@pytest.fixture
def limits(time: Time) -> LookupLimits:
    return LookupLimits(PER_TENANT, PER_HOST)


def taken(limits: LookupLimits, tenant: str, host: str = "a.example", most: int = 1000) -> int:
    """Return how many of at most *most* look-ups in a row are allowed."""
    count = 0
    for _ in range(most):
        try:
            limits.take(tenant, host)
        except RateLimitExceeded:
            break
        count += 1
    return count


def test_a_tenant_has_its_rate_and_a_burst(limits: LookupLimits, time: Time) -> None:
    """They apply to all hosts together; another tenant has its own."""
    hosts = [f"{number}.example" for number in range(1000)]
    burst = sum(taken(limits, "a", host, 1) for host in hosts)
    assert burst == PER_TENANT * TENANT_BURST_SECONDS
    time.now += 3
    assert taken(limits, "a") == 3 * PER_TENANT
    assert taken(limits, "b") == burst


def test_the_reported_wait_is_exact(limits: LookupLimits, time: Time) -> None:
    """After it one look-up is allowed, and none earlier."""
    taken(limits, "a")
    with pytest.raises(RateLimitExceeded) as caught:
        limits.take("a", "a.example")
    wait = caught.value.retry_after
    assert wait is not None
    time.now += wait - 0.001
    assert taken(limits, "a") == 0
    time.now += 0.002
    assert taken(limits, "a") == 1


def test_a_light_tenant_is_allowed_at_a_busy_host(limits: LookupLimits) -> None:
    """Other tenants have spent the host's budget; their look-ups at other hosts are still
    allowed."""
    passed = sum(taken(limits, f"busy-{number}") for number in range(100))
    # a tenant's first look-ups are always allowed; further ones need the host's budget
    small = PER_TENANT * TENANT_BURST_SECONDS // 2 + 1
    assert passed <= 100 * small + PER_HOST * HOST_BURST_SECONDS
    assert taken(limits, "new", most=small) == small
    assert taken(limits, "new", "b.example") == PER_TENANT * TENANT_BURST_SECONDS - small


async def test_a_look_up_over_the_limit_sends_no_request(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """The error is RATE_LIMIT_EXCEEDED with a retry time. No login is spent, the idempotency key is
    released, and another tenant is not delayed."""
    settings = {**sandbox.settings(), "LOOKUPS_PER_TENANT": "1", "LOOKUPS_PER_HOST": "1"}
    async with running(database, settings) as service:
        other, _ = await service.new_key(tenant_id=await service.new_tenant())
        refusal = await service.refused("a1.test", "abcd-efgh-ijkl-mnop")
        for number in range(30):
            refusal = await service.refused(
                f"a{number}.test", "abcd-efgh-ijkl-mnop", idempotency_key="k"
            )
            if refusal.reason == "RATE_LIMIT_EXCEEDED":
                break
        assert (refusal.reason, refusal.retry_after) == ("RATE_LIMIT_EXCEEDED", 1)
        asked = dict(await sandbox.counts())
        assert (
            await service.refused("b.test", "abcd-efgh-ijkl-mnop", idempotency_key="k")
        ).reason == "RATE_LIMIT_EXCEEDED"
        assert dict(await sandbox.counts()) == asked
        assert service.rows("SELECT * FROM login_debits") == []
        assert service.rows("SELECT * FROM idempotency_records") == []
        person = await sandbox.person()
        await service.connect(person.handle, person.app_password, api_key=other)
