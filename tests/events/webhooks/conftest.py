"""A service of its own, which may send webhooks to every port of this machine's loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from postcore.profiles.v1 import webhook_service_pb2 as pb
from service.domain.clock import Clock
from tests.support.bluesky import SandboxBluesky
from tests.support.receiver import WAIT_SECONDS, Receiver
from tests.support.running import MovedClock, Running, running

Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver.started() as started:
        yield started


@pytest.fixture
def serve(sandbox: SandboxBluesky, database: Path, database_url: str) -> Serve:
    """Return what runs a service that may send to the given receivers."""

    @asynccontextmanager
    async def start(
        *receivers: Receiver, clock: Clock | None = None, **settings: str
    ) -> AsyncIterator[Running]:
        origins = ",".join(each.origin for each in receivers)
        given = {"DATABASE_URL": database_url, "WEBHOOK_ORIGINS": origins, **settings}
        async with running(database, {**sandbox.settings(), **given}, clock) as started:
            yield started

    return start


def moved(clock: MovedClock, by: int) -> None:
    """Set *clock* forward."""
    clock.ahead += by


async def queue(service: Running, *, waiting: int = 0, given_up: int = 0) -> None:
    """Wait until the webhooks have read all events, and that many messages wait or failed."""
    statement = (
        "SELECT (SELECT COUNT(*) FROM webhook_deliveries WHERE failed_at IS NULL) AS waiting,"
        " (SELECT COUNT(*) FROM webhook_deliveries WHERE failed_at IS NOT NULL) AS given_up,"
        " (SELECT COUNT(*) FROM webhooks w JOIN tenants t ON t.tenant_id = w.tenant_id"
        " WHERE w.position < t.last_event) AS behind"
    )
    expected = {"waiting": waiting, "given_up": given_up, "behind": 0}
    async with asyncio.timeout(WAIT_SECONDS):
        while (await asyncio.to_thread(service.rows, statement)) != [expected]:
            await asyncio.sleep(0.02)


async def webhook(service: Running, webhook_id: str) -> pb.Webhook:
    request = pb.GetWebhookRequest(webhook_id=webhook_id)
    metadata = await service.webhook_metadata()
    return (await service.webhooks.GetWebhook(request, metadata=metadata)).webhook
