"""Receivers that fail, lie, hang or move: each harms its own webhook alone."""

import asyncio
import ssl
from pathlib import Path
from time import monotonic

import pytest

from postcore.profiles.v1 import webhook_service_pb2 as pb
from service.domain.model import DAY, SECOND
from service.events.webhooks import sender
from tests.support.authority import Authority
from tests.support.receiver import OK, Answer, Receiver, drip, flood, hang, status, write_events
from tests.support.running import MovedClock, Running

from .conftest import Serve, moved, queue, webhook

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def short_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that hangs is given up soon; the limit itself is asserted elsewhere."""
    monkeypatch.setattr(sender, "SEND_SECONDS", 1.0)
    monkeypatch.setattr(sender, "TEST_SECONDS", 1.0)


async def reply_to_test(service: Running, webhook_id: str) -> pb.TestWebhookResponse:
    request = pb.TestWebhookRequest(webhook_id=webhook_id)
    metadata = await service.webhook_metadata()
    return await service.webhooks.TestWebhook(request, metadata=metadata, timeout=30)


BAD = {
    "hangs": (hang, "TIMEOUT", 0),
    "drips": (drip, "TIMEOUT", 0),
    "redirects": (status(302, "location: http://127.0.0.1:9/"), "UNEXPECTED_ANSWER", 0),
    "is broken": (status(500), "HTTP_STATUS", 500),
    "is busy": (status(429, "retry-after: 7"), "HTTP_STATUS", 429),
    "is gone": (status(410), "HTTP_STATUS", 410),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_receiver_is_told_to_the_tenant(serve: Serve, name: str) -> None:
    """A test says what it answered; an event is kept, or the webhook is disabled."""
    answer, cause, http_status = BAD[name]
    async with (
        Receiver.started(answer) as bad,
        Receiver.started() as good,
        serve(bad, good) as service,
    ):
        webhook_id, _ = await service.webhook(f"{bad.origin}/in")
        await service.webhook(f"{good.origin}/in")
        reply = await reply_to_test(service, webhook_id)
        assert (reply.delivered, reply.cause, reply.http_status) == (False, cause, http_status)
        await write_events(service.settings.database_url, service.tenant_id, ["prof_a"])
        disabled = http_status == 410
        await good.until(2 if disabled else 1)
        await queue(service, waiting=1)
        state = (await webhook(service, webhook_id)).state
        assert (state == pb.WEBHOOK_STATE_DISABLED) is disabled
        if disabled:
            [notice] = [each for each in good.accepted if "webhook.disabled" in each.body]
            assert f'"webhookId":"{webhook_id}","reason":"GONE"' in notice.body
            [row] = service.rows("SELECT * FROM audit WHERE method = 'DisableWebhook'")
            assert (row["account_id"], row["outcome"]) == (webhook_id, "OK")


async def test_a_flood_is_read_to_its_limit(serve: Serve) -> None:
    """8 KiB of the answer are read; its status counts."""
    async with Receiver.started(flood) as receiver, serve(receiver) as service:
        webhook_id, _ = await service.webhook(receiver.origin)
        assert (await reply_to_test(service, webhook_id)).delivered


async def test_retry_after_is_respected(serve: Serve, receiver: Receiver) -> None:
    """Nothing is sent before; a date works as a number does; an hour is the most."""
    receiver.answer = status(503, "retry-after: 1800")
    clock = MovedClock()
    async with serve(receiver, clock=clock) as service:
        await service.webhook(receiver.origin)
        await write_events(service.settings.database_url, service.tenant_id, ["prof_a"])
        await queue(service, waiting=1)
        [row] = service.rows("SELECT resume_at, failing_since FROM webhooks")
        assert row["resume_at"] - row["failing_since"] == 1800 * SECOND
        receiver.answer = status(503, "retry-after: 864000")
        moved(clock, 1801 * SECOND)
        await receiver.until(2, accepted=False)
        async with asyncio.timeout(60):
            while not service.rows("SELECT 1 FROM webhooks WHERE failures = 2"):
                await asyncio.sleep(0.05)
        [row] = service.rows("SELECT resume_at, failing_since FROM webhooks")
        waited = row["resume_at"] - row["failing_since"]
        assert 5400 * SECOND <= waited <= (5400 + 120) * SECOND


async def test_a_receiver_that_fails_is_left_alone(serve: Serve, receiver: Receiver) -> None:
    """After three failures one message is tried at a time; events wait in the log, none is lost."""
    receiver.answer = status(500)
    clock = MovedClock()
    async with serve(receiver, clock=clock) as service:
        await service.webhook(receiver.origin)
        profiles = [f"prof_{number}" for number in range(40)]
        await write_events(service.settings.database_url, service.tenant_id, profiles)
        await receiver.until(3, accepted=False)
        async with asyncio.timeout(60):
            while not service.rows("SELECT 1 FROM webhooks WHERE failures >= 3"):
                await asyncio.sleep(0.05)
        tried = len(receiver.messages)
        assert tried <= 3 + 4
        receiver.answer = OK
        moved(clock, 3600 * SECOND)  # the longest pause
        await receiver.until(len(profiles))
        await queue(service)
    assert len({each.message_id for each in receiver.accepted}) == len(profiles)


async def test_days_of_failures_disable_a_webhook(serve: Serve) -> None:
    """The tenant's other webhook is told; enabled again, it gets what it missed."""
    clock = MovedClock()
    async with (
        Receiver.started(status(500)) as bad,
        Receiver.started() as good,
        serve(bad, good, clock=clock) as service,
    ):
        webhook_id, _ = await service.webhook(bad.origin)
        await service.webhook(good.origin, "webhook.disabled")
        await write_events(service.settings.database_url, service.tenant_id, ["prof_a"])
        await bad.until(1, accepted=False)
        await queue(service, waiting=1)
        moved(clock, 5 * DAY + SECOND)
        [notice] = await good.until(1)
        assert '"reason":"FAILING"' in notice.body
        found = await webhook(service, webhook_id)
        assert found.disabled_reason == pb.WEBHOOK_DISABLED_REASON_FAILING
        bad.answer = OK
        await write_events(service.settings.database_url, service.tenant_id, ["prof_b"])
        enable = pb.EnableWebhookRequest(webhook_id=webhook_id)
        await service.webhooks.EnableWebhook(enable, metadata=await service.webhook_metadata())
        [message] = await bad.until(1)
        assert message.message_id.endswith("_2")


@pytest.mark.slow
@pytest.mark.parametrize("answer", [hang, drip])
async def test_a_slow_receiver_delays_no_other(serve: Serve, answer: Answer) -> None:
    """Of the same tenant: while it hangs, the other gets everything."""
    async with (
        Receiver.started(answer) as bad,
        Receiver.started() as good,
        serve(bad, good) as service,
    ):
        await service.webhook(bad.origin)
        await service.webhook(good.origin)
        profiles = [f"prof_{number % 10}" for number in range(100)]
        started = monotonic()
        await write_events(service.settings.database_url, service.tenant_id, profiles)
        await good.until(len(profiles))
        assert monotonic() - started < 60
        assert not bad.accepted


async def test_a_receiver_that_changes_its_certificate(serve: Serve, tmp_path: Path) -> None:
    """One of a strange authority is refused and gets no message; with a good one, all arrives."""
    ours, strange = Authority(tmp_path, "ours"), Authority(tmp_path, "strange")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.issue("first"))
    clock = MovedClock()
    async with Receiver.started(tls=context) as receiver:
        settings = {"EGRESS_CA_FILE": str(ours.file)}
        async with serve(receiver, clock=clock, **settings) as service:
            webhook_id, secret = await service.webhook(receiver.origin)
            assert (await reply_to_test(service, webhook_id)).delivered
            context.load_cert_chain(*strange.issue("second"))
            await receiver.drop()
            assert (await reply_to_test(service, webhook_id)).cause in (
                "TLS_FAILURE",
                "SERVER_UNREACHABLE",
            )
            await write_events(service.settings.database_url, service.tenant_id, ["prof_a"])
            await queue(service, waiting=1)
            assert len(receiver.messages) == 1
            context.load_cert_chain(*ours.issue("third"))
            moved(clock, 6 * SECOND)
            await receiver.until(2)
            await queue(service)
    assert receiver.messages[1].verified(secret)["type"] == "connection.unverified"
