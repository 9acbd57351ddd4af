"""Nodes: three on one PostgreSQL, of which the one that sends is killed in the middle."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service.app.startup import open_store
from service.domain.webhooks import Claimed, Progress, Webhook
from service.events.webhooks.lane import CLAIM_SECONDS
from service.storage.webhook_queue import SqlWebhookQueue
from tests.support.fleet import Node, fleet
from tests.support.receiver import OK, Message, Receiver, Write, write_events
from tests.support.running import Running, running

from .conftest import queue

NODES, WEBHOOKS = 3, 4
PROFILES = [f"prof_{number % 7}" for number in range(210)]
KILLED_AFTER = 40
"""Messages that the receivers accept before all of them hang."""
SECONDS = 240.0


class Gate:
    """Lets KILLED_AFTER messages through, and then none until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.shut = asyncio.Event()
        self._let_through = 0

    async def answer(self, message: Message, write: Write) -> None:
        self._let_through += 1
        if self._let_through > KILLED_AFTER and not self.open.is_set():
            self.shut.set()
            await self.open.wait()
        await OK(message, write)


@pytest.fixture
async def receivers() -> AsyncIterator[list[Receiver]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Receiver.started()) for _ in range(WEBHOOKS)]


@pytest.fixture
async def prepared(database: Path, postgres_url: str, receivers: list[Receiver]) -> Running:
    """A stopped service, with a tenant and a webhook for each receiver."""
    settings = {
        "DATABASE_URL": postgres_url,
        "WEBHOOK_ORIGINS": ",".join(each.origin for each in receivers),
    }
    async with running(database, settings) as service:
        for receiver in receivers:
            await service.webhook(receiver.origin)
    return service


@pytest.mark.timeout(SECONDS)
async def test_the_node_that_sends_is_killed(
    prepared: Running, receivers: list[Receiver], tmp_path: Path
) -> None:
    """The others take its claims over: no message is lost, and each profile keeps its order."""
    gate = Gate()
    for receiver in receivers:
        receiver.answer = gate.answer
    async with fleet(prepared.settings, tmp_path, NODES) as nodes:
        first, *others = nodes
        for node in others:
            _send(node, signal.SIGSTOP)
        await write_events(prepared.settings.database_url, prepared.tenant_id, PROFILES)
        await gate.shut.wait()
        for node in others:
            _send(node, signal.SIGCONT)
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        for receiver in receivers:
            receiver.answer = OK
        gate.open.set()
        for receiver in receivers:
            await _all(receiver)
        await queue(prepared)
        for node in others:
            assert await node.end(signal.SIGTERM) == 0
    for receiver in receivers:
        latest: dict[str, int] = defaultdict(int)
        for number in dict.fromkeys(_numbers(receiver)):  # as a receiver that stores the ids does
            assert number > latest[PROFILES[number - 1]]
            latest[PROFILES[number - 1]] = number
        assert set(_numbers(receiver)) == set(range(1, len(PROFILES) + 1))


async def test_one_of_two_nodes_gets_the_claim(prepared: Running) -> None:
    """A claim that has run out fences off its former holder: what that one writes is discarded."""
    await write_events(prepared.settings.database_url, prepared.tenant_id, ["prof_a"])
    async with open_store(prepared.settings) as one, open_store(prepared.settings) as other:
        now = 1_900_000_000_000_000
        webhook_id, *_ = await one.webhook_queue.due(now, 10)

        async def claim(queue: SqlWebhookQueue, at: int) -> Claimed | None:
            return await queue.claim(webhook_id, at, at + int(CLAIM_SECONDS * 1e6))

        claims = await asyncio.gather(
            *(claim(store.webhook_queue, now) for store in (one, other) * 5)
        )
        [held] = [each for each in claims if each is not None]
        assert webhook_id not in await other.webhook_queue.due(now, 10)
        later = now + int(CLAIM_SECONDS * 1e6) + 1
        newer = await other.webhook_queue.claim(webhook_id, later, later + 1_000_000)
        assert newer is not None
        moved = newer.webhook._replace(position=1)
        progress = _progress(moved, later)
        assert not await one.webhook_queue.save(held, progress)
        assert await other.webhook_queue.save(newer, progress)
        assert not await other.webhook_queue.save(held, progress)


def _progress(webhook: Webhook, at: int) -> Progress:
    return Progress(webhook, at, at)


def _send(node: Node, number: signal.Signals) -> None:
    node.process.send_signal(number)


def _numbers(receiver: Receiver) -> list[int]:
    return [int(each.message_id.split("_")[2]) for each in receiver.accepted]


async def _all(receiver: Receiver) -> None:
    async with asyncio.timeout(SECONDS):
        while len(set(_numbers(receiver))) < len(PROFILES):
            await asyncio.sleep(0.1)
