"""Writes: the number of write transactions of a check and of a renewal."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from service.connections.timeouts import TIMEOUTS
from service.domain.model import SECOND
from service.domain.records import MAX_CLAIM_SKEW
from service.storage.postgres import PostgresEngine
from service.storage.sqlite import SqliteEngine
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.leasing import MINUTE
from tests.support.running import MovedClock, running

EXPIRING = 115 * MINUTE


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The write transactions of all calls, by the store's method that made them."""
    made: list[str] = []

    def count(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        def counted(self: object, job: Callable[..., Any], turn: str = "") -> Awaitable[Any]:
            made.append(job.__qualname__.split(".")[1])
            return write(self, job, turn)

        return counted

    for kind in (SqliteEngine, PostgresEngine):
        monkeypatch.setattr(kind, "write", count(kind.write))
    return made


async def test_a_waiter_for_a_claim_only_reads(
    sandbox: SandboxBluesky, database: Path, writes: list[str]
) -> None:
    """Also if the holder's clock is ahead of its own."""
    clock = MovedClock()
    async with running(database, {**sandbox.settings(), "CHECK_HOURS": "24"}, clock) as service:
        person: Person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        token = (await service.lease(key)).access_token
        clock.ahead = 61 * SECOND
        ahead = clock.now() + int(TIMEOUTS.claim * SECOND) + MAX_CLAIM_SKEW - 20 * SECOND
        await service.execute("UPDATE sessions SET claimed_until = ?", ahead)
        writes.clear()
        with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
            await service.lease(key, rejected=token, timeout=1.5)
        assert writes.count("claim") == 1
        # the check goes on without its caller; a stop would wait for it
        await service.execute("UPDATE sessions SET claimed_until = 0")


async def test_a_healthy_check_and_a_renewal_are_two_write_transactions_each(
    sandbox: SandboxBluesky, database: Path, database_url: str, writes: list[str]
) -> None:
    """One for the claim, and one for all results together with the release of the claim."""
    clock = MovedClock()
    settings = {**sandbox.settings(), "DATABASE_URL": database_url, "CHECK_HOURS": "24"}
    async with running(database, settings, clock) as service:
        person: Person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await service.lease(key)  # creates the key for leases
        first = service.session(key)

        async def written(call: Awaitable[object]) -> list[str]:
            # other writes are made in the background
            writes.clear()
            await call
            names = ("claim", "save_session", "save_verdict", "release_claim", "save_origin")
            return [name for name in writes if name in names]

        assert await written(service.verify(key)) == ["claim", "save_verdict"]
        checked = service.session(key)
        assert checked.refresh_token != first.refresh_token
        clock.ahead = EXPIRING
        assert await written(service.lease(key)) == ["claim", "save_session"]
        assert service.session(key).refresh_token != checked.refresh_token
        assert service.rows("SELECT claimed_until FROM sessions") == [{"claimed_until": 0}]
