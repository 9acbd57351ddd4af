"""Readiness: what one slow answer of the store proves, and what several prove."""

import asyncio
from collections.abc import Iterator

import pytest

from service.app.readiness import MAX_TIMEOUTS, Readiness


class Store:
    """Answers a probe, or never does, as *answers* says; then it answers."""

    def __init__(self, answers: Iterator[bool]) -> None:
        self._answers = answers
        self.asked = 0

    async def get(self, name: str) -> str | None:
        self.asked += 1
        if not next(self._answers, True):
            await asyncio.Event().wait()
        return None

    async def put_once(self, name: str, value: str) -> str:
        raise NotImplementedError

    async def replace(self, name: str, old: str, new: str) -> bool:
        raise NotImplementedError


class Server:
    def __init__(self) -> None:
        self.statuses: asyncio.Queue[bool] = asyncio.Queue()

    def set_serving(self, serving: bool) -> None:
        self.statuses.put_nowait(serving)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.app.readiness.INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr("service.app.readiness.STORE_TIMEOUT_SECONDS", 0.05)


async def test_one_time_out_changes_nothing() -> None:
    """A probe that times out is repeated before anything is reported."""
    store, server = Store(iter([True, False])), Server()
    probes = asyncio.create_task(Readiness(store, [server]).run())
    async with asyncio.timeout(60):
        while store.asked < 6:
            await asyncio.sleep(0.01)
    probes.cancel()
    assert server.statuses.empty()


async def test_a_store_that_hangs_is_unavailable_until_it_answers() -> None:
    store, server = Store(iter([False] * MAX_TIMEOUTS)), Server()
    readiness = Readiness(store, [server])
    probes = asyncio.create_task(readiness.run())
    async with asyncio.timeout(60):
        assert await server.statuses.get() is False
        assert await server.statuses.get() is True
    probes.cancel()
    assert readiness.fault == ""
