"""Secrets of webhooks: two at once during a rotation, and sealed by the keyring's keys."""

import asyncio

import pytest

from postcore.profiles.v1 import webhook_service_pb2 as pb
from service.app.startup import open_store
from service.domain.clock import SystemClock
from service.domain.model import DAY, SECOND
from tests.support.live_changes import done
from tests.support.receiver import Message, Receiver, write_events
from tests.support.running import MovedClock, Running

from .conftest import Serve, moved


async def rotated(service: Running, webhook_id: str) -> str:
    request = pb.RotateWebhookSecretRequest(webhook_id=webhook_id)
    metadata = await service.webhook_metadata()
    return (await service.webhooks.RotateWebhookSecret(request, metadata=metadata)).secret


async def sent_test(service: Running, webhook_id: str, receiver: Receiver) -> Message:
    """Send a test message, and return it as it came."""
    request = pb.TestWebhookRequest(webhook_id=webhook_id)
    metadata = await service.webhook_metadata()
    reply = await service.webhooks.TestWebhook(request, metadata=metadata)
    assert reply.delivered, reply
    return receiver.messages[-1]


def is_signed_by(message: Message, secret: str) -> bool:
    try:
        message.verified(secret)
    except Exception:
        return False
    return True


async def test_two_secrets_sign_during_a_rotation(serve: Serve, receiver: Receiver) -> None:
    """The new and the former, for a day; of a second rotation the oldest ends at once."""
    clock = MovedClock()
    async with serve(receiver, clock=clock) as service:
        webhook_id, first = await service.webhook(receiver.origin)
        second = await rotated(service, webhook_id)
        message = await sent_test(service, webhook_id, receiver)
        assert [is_signed_by(message, each) for each in (first, second)] == [True, True]
        third = await rotated(service, webhook_id)
        message = await sent_test(service, webhook_id, receiver)
        signed = [is_signed_by(message, each) for each in (first, second, third)]
        assert signed == [False, True, True]
        assert message.headers["webhook-signature"].count("v1,") == 2
        moved(clock, DAY + SECOND)
        message = await sent_test(service, webhook_id, receiver)
        assert message.headers["webhook-signature"].count("v1,") == 1


async def test_a_secret_of_the_receivers_own(serve: Serve, receiver: Receiver) -> None:
    """It signs as it was given."""
    own = "whsec_" + "QUJD" * 11
    async with serve(receiver) as service:
        metadata = await service.webhook_metadata()
        request = pb.CreateWebhookRequest(url=receiver.origin, secret=own)
        created = await service.webhooks.CreateWebhook(request, metadata=metadata)
        assert created.secret == own
        message = await sent_test(service, created.webhook.webhook_id, receiver)
        assert message.verified(own)["type"] == "webhook.test"


@pytest.mark.slow
async def test_the_keyring_is_rotated(serve: Serve, receiver: Receiver) -> None:
    """A rewrap seals them anew, a key that one needs cannot be retired, and nothing is lost."""
    async with serve(receiver) as service:
        webhook_id, secret = await service.webhook(receiver.origin)
        [row] = service.rows("SELECT ring_key_id FROM webhook_secrets")
        added = await done(service, "keyring", "add")
        await done(service, "keyring", "activate", added, "--at-once")
        async with open_store(service.settings) as store:
            uses = await store.secrets.key_uses(SystemClock().now())
            assert uses[row["ring_key_id"]] == 1
            assert await store.webhook_queue.key_uses() == {row["ring_key_id"]: 1}
        await done(service, "keyring", "rewrap")
        [row] = service.rows("SELECT ring_key_id FROM webhook_secrets")
        assert row["ring_key_id"] == added
        await write_events(service.settings.database_url, service.tenant_id, ["prof_a"])
        [message] = await receiver.until(1)
        assert message.verified(secret)
        assert webhook_id[3:] in message.message_id


async def test_a_tenant_is_deleted_with_its_webhooks(serve: Serve, receiver: Receiver) -> None:
    """Also with secrets and messages that wait."""
    async with serve(receiver) as service:
        await service.webhook(receiver.origin)
        await receiver.stop()
        await write_events(service.settings.database_url, service.tenant_id, ["prof_a"])
        async with asyncio.timeout(60):
            while not service.rows("SELECT 1 FROM webhook_deliveries"):
                await asyncio.sleep(0.05)
        await done(service, "tenants", "delete", service.tenant_id)
        for table in ("webhooks", "webhook_secrets", "webhook_deliveries"):
            assert service.rows(f"SELECT * FROM {table}") == []
