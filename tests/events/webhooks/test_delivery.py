"""Delivery: each event comes at each webhook at least once, signed, in order for each profile."""

import asyncio
import re
from collections import defaultdict

import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import webhook_service_pb2 as webhooks_pb
from service.domain.model import DAY, SECOND
from service.events.webhooks import lane
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import on_both as engine
from tests.support.receiver import OK, Answer, Message, Receiver, Write, status, write_events
from tests.support.running import MovedClock

from .conftest import Serve, moved, queue, webhook

__all__ = ["engine"]

pytestmark = pytest.mark.timeout(180)


def numbers(messages: list[Message]) -> list[int]:
    """The numbers of the events that *messages* are about."""
    return [int(each.message_id.split("_")[2]) for each in messages]


async def test_a_story(serve: Serve, sandbox: SandboxBluesky, receiver: Receiver) -> None:
    """Connected, broken, disconnected: each is verified by the public library, and has the
    contract's event with the reason, and no secret."""
    async with serve(receiver) as service:
        _, secret = await service.webhook(f"{receiver.origin}/hooks?token=own")
        person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await sandbox.deactivate(person)
        await service.verify(key)
        ended = pb.DisconnectPlatformRequest(profile_key=key, platform="bluesky")
        await service.profiles.DisconnectPlatform(ended, metadata=service.metadata())
        story = [each.verified(secret) for each in await receiver.until(3)]
    types = ["connection.connected", "connection.broken", "connection.disconnected"]
    assert [each["type"] for each in story] == types
    for each in story:
        assert each["data"]["profileKey"] == key
        assert each["timestamp"] == each["data"]["occurredAt"]
        assert each["data"]["connection"]["username"] == person.handle
        assert person.app_password not in str(each)
    broken = story[1]["data"]
    assert broken["kind"] == "KIND_BROKEN"
    assert broken["connection"]["reconnectReason"] == "RECONNECT_REASON_ACCOUNT_DEACTIVATED"
    ids = [each.message_id for each in receiver.messages]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"msg_[a-z0-9]{16}_[0-9]+", each) for each in ids)
    assert {each.headers["content-type"] for each in receiver.messages} == {"application/json"}


async def test_only_the_chosen_types_are_sent(
    serve: Serve, sandbox: SandboxBluesky, receiver: Receiver
) -> None:
    """The others are passed over."""
    async with serve(receiver) as service:
        await service.webhook(receiver.origin, "connection.disconnected")
        person = await sandbox.person()
        key = (await service.connect(person.handle, person.app_password)).profile_key
        delete = pb.DeleteProfileRequest(profile_key=key)
        await service.profiles.DeleteProfile(delete, metadata=service.metadata())
        [message] = await receiver.until(1)
    assert '"type":"connection.disconnected"' in message.body
    assert '"connection":null,"occurredAt":null' in message.body


async def test_all_events_come_in_order_of_each_profile(serve: Serve, receiver: Receiver) -> None:
    """Many events of many profiles, written by another process, each once."""
    profiles = [f"prof_{number % 7}" for number in range(250)]
    async with serve(receiver) as service:
        await service.webhook(receiver.origin)
        await write_events(service.settings.database_url, service.tenant_id, profiles)
        messages = await receiver.until(len(profiles))
    by_profile = defaultdict(list)
    for number in numbers(messages):
        by_profile[profiles[number - 1]].append(number)
    assert sorted(numbers(messages)) == list(range(1, len(profiles) + 1))
    assert all(each == sorted(each) for each in by_profile.values())


def refusing(profile: str, answer: Answer) -> Answer:
    """Answer messages about *profile* by *answer*, and accept the rest."""

    async def answered(message: Message, write: Write) -> None:
        await (answer if f'"{profile}"' in message.body else OK)(message, write)

    return answered


async def test_a_failed_message_holds_back_those_of_its_profile_alone(
    serve: Serve, receiver: Receiver
) -> None:
    """The others go on; it is tried again with the same id, and those behind it follow in order."""
    receiver.answer = refusing("prof_bad", status(500))
    clock = MovedClock()
    async with serve(receiver, clock=clock) as service:
        webhook_id, secret = await service.webhook(receiver.origin)
        profiles = ["prof_a", "prof_bad", "prof_bad", "prof_b", "prof_bad"]
        await write_events(service.settings.database_url, service.tenant_id, profiles)
        await queue(service, waiting=3)
        assert sorted(numbers(receiver.messages)) == [1, 2, 4]
        receiver.answer = OK
        moved(clock, 5 * SECOND)
        await receiver.until(3)
        await queue(service, waiting=0)
        assert numbers(receiver.messages[3:]) == [2, 3, 5]
        ids = [each.message_id for each in receiver.messages]
        assert ids[3] in ids[:3]
        assert (await webhook(service, webhook_id)).failing_since.seconds == 0
        for message in receiver.messages[:3]:
            message.verified(secret)


async def test_a_message_is_given_up_after_three_days_and_can_be_replayed(
    serve: Serve, receiver: Receiver
) -> None:
    """It is listed with the cause; then those behind it are sent."""
    receiver.answer = refusing("prof_bad", status(404))
    clock = MovedClock()
    async with serve(receiver, clock=clock) as service:
        webhook_id, _ = await service.webhook(receiver.origin)
        metadata = await service.webhook_metadata()
        both = ["prof_bad", "prof_bad"]
        await write_events(service.settings.database_url, service.tenant_id, both)
        await queue(service, waiting=2)
        moved(clock, 3 * DAY + SECOND)
        await queue(service, waiting=1, given_up=1)
        listing = webhooks_pb.ListFailedDeliveriesRequest(webhook_id=webhook_id)
        listed = await service.webhooks.ListFailedDeliveries(listing, metadata=metadata)
        [failed] = listed.deliveries
        assert (failed.event_type, failed.profile_key) == ("connection.unverified", "prof_bad")
        assert (failed.cause, failed.http_status, failed.attempts) == ("HTTP_STATUS", 404, 2)
        receiver.answer = OK
        replay = webhooks_pb.ReplayDeliveriesRequest(
            webhook_id=webhook_id, message_id=failed.message_id
        )
        replayed = await service.webhooks.ReplayDeliveries(replay, metadata=metadata)
        assert replayed.replayed == 1
        enable = webhooks_pb.EnableWebhookRequest(webhook_id=webhook_id)
        await service.webhooks.EnableWebhook(enable, metadata=metadata)
        await queue(service)
        listed = await service.webhooks.ListFailedDeliveries(listing, metadata=metadata)
        assert not listed.deliveries
    assert numbers(receiver.messages)[-2:] == [1, 2]


async def test_replaying_since_a_time_sends_all_again(serve: Serve, receiver: Receiver) -> None:
    """Delivered events too, with their former ids, in order."""
    async with serve(receiver) as service:
        webhook_id, _ = await service.webhook(receiver.origin)
        profiles = ["prof_a"] * 5
        await write_events(service.settings.database_url, service.tenant_id, profiles)
        first = [each.message_id for each in await receiver.until(5)]
        replay = webhooks_pb.ReplayDeliveriesRequest(webhook_id=webhook_id)
        replay.since.FromJsonString("2026-01-02T03:04:05Z")
        metadata = await service.webhook_metadata()
        replayed = await service.webhooks.ReplayDeliveries(replay, metadata=metadata)
        assert replayed.replayed == 5
        messages = await receiver.until(10)
    assert [each.message_id for each in messages[5:]] == first


async def test_an_event_that_is_no_longer_kept_is_reported(
    serve: Serve, receiver: Receiver
) -> None:
    """A gap is a message of its own; a message that waited too long is listed as failed."""
    receiver.answer = refusing("prof_bad", status(500))
    async with serve(receiver) as service:
        webhook_id, secret = await service.webhook(receiver.origin)
        metadata = await service.webhook_metadata()
        await write_events(service.settings.database_url, service.tenant_id, ["prof_bad"])
        await queue(service, waiting=1)
        await service.execute(
            "UPDATE webhooks SET disabled_reason = 'FAILING' WHERE webhook_id = ?", webhook_id
        )
        await write_events(service.settings.database_url, service.tenant_id, ["prof_a"] * 4)
        await service.execute("DELETE FROM events WHERE number <= 3")
        receiver.answer = OK
        enable = webhooks_pb.EnableWebhookRequest(webhook_id=webhook_id)
        await service.webhooks.EnableWebhook(enable, metadata=metadata)
        messages = (await receiver.until(3))[-3:]
        found = [each.verified(secret) for each in messages]
        [gap] = [each for each in found if each["type"] == "webhook.gap"]
        assert gap["data"] == {"webhookId": webhook_id, "missedEvents": 2}
        rest = [each for each in messages if '"webhook.gap"' not in each.body]
        assert numbers(rest) == [4, 5]
        await queue(service, given_up=1)
        listing = webhooks_pb.ListFailedDeliveriesRequest(webhook_id=webhook_id)
        listed = await service.webhooks.ListFailedDeliveries(listing, metadata=metadata)
        assert [each.cause for each in listed.deliveries] == ["EVENT_EXPIRED"]
        replay = webhooks_pb.ReplayDeliveriesRequest(
            webhook_id=webhook_id, message_id=listed.deliveries[0].message_id
        )
        with pytest.raises(Exception, match="event is kept"):
            await service.webhooks.ReplayDeliveries(replay, metadata=metadata)


async def test_a_stop_sends_no_more_and_loses_nothing(
    serve: Serve, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way is finished and noted; the next start goes on after it."""
    monkeypatch.setattr(lane, "SENDS_AT_ONCE", 1)
    came, gate = asyncio.Event(), asyncio.Event()

    async def at_the_gate(message: Message, write: Write) -> None:
        came.set()
        await gate.wait()
        await OK(message, write)

    receiver.answer = at_the_gate
    async with serve(receiver) as service:
        await service.webhook(receiver.origin)
        profiles = [f"prof_{number}" for number in range(20)]
        await write_events(service.settings.database_url, service.tenant_id, profiles)
        await came.wait()
        asyncio.get_running_loop().call_later(0.2, gate.set)
    sent = len(receiver.messages)
    assert sent < len(profiles)
    receiver.answer = OK
    async with serve(receiver) as service:
        await receiver.until(len(profiles) - sent)
        await queue(service)
    assert numbers(receiver.messages) == list(range(1, len(profiles) + 1))
