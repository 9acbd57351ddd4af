"""The servicer of WebhookService, and the JSON form of events in messages."""

# ruff: noqa: N802 - methods are named as in the contract

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import webhook_service_pb2 as pb
from service.domain.errors import InvalidRequest
from service.domain.model import SECOND, Caller, ConnectionEvent, Micros
from service.domain.webhooks import Delivery, DisabledReason, Webhook
from service.events.webhooks.webhooks import Webhooks
from service.transport import conversion
from service.transport.http import json_form

MIN_SECONDS, MAX_SECONDS = 0, 253_402_300_799
"""Of a time that can be replayed from: 1970 to 9999."""

DISABLED_REASONS: Mapping[DisabledReason, Any] = {
    reason: pb.WebhookDisabledReason.Value(f"WEBHOOK_DISABLED_REASON_{reason}")
    for reason in DisabledReason
}


def payload(event: ConnectionEvent) -> dict[str, Any]:
    """Return *event* as the contract's ConnectionEvent in JSON, with every field."""
    message = profile_pb2.ConnectionEvent()
    conversion.event(event, message)
    return json_form.encoded(message)


class WebhookServicer:
    """postcore.profiles.v1.WebhookService"""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, caller: Caller
    ) -> pb.CreateWebhookResponse:
        secret = request.secret if request.HasField("secret") else None
        created = await self._webhooks.create(
            caller.tenant_id, request.url, list(request.event_types), secret
        )
        response = pb.CreateWebhookResponse(secret=created.secret)
        _webhook(created.webhook, response.webhook)
        return response

    async def GetWebhook(
        self, request: pb.GetWebhookRequest, caller: Caller
    ) -> pb.GetWebhookResponse:
        response = pb.GetWebhookResponse()
        found = await self._webhooks.get(caller.tenant_id, request.webhook_id)
        _webhook(found, response.webhook)
        return response

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, caller: Caller
    ) -> pb.ListWebhooksResponse:
        response = pb.ListWebhooksResponse()
        for each in await self._webhooks.list(caller.tenant_id):
            _webhook(each, response.webhooks.add())
        return response

    async def EnableWebhook(
        self, request: pb.EnableWebhookRequest, caller: Caller
    ) -> pb.EnableWebhookResponse:
        response = pb.EnableWebhookResponse()
        enabled = await self._webhooks.enable(caller.tenant_id, request.webhook_id)
        _webhook(enabled, response.webhook)
        return response

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, caller: Caller
    ) -> pb.RotateWebhookSecretResponse:
        rotated = await self._webhooks.rotate(caller.tenant_id, request.webhook_id)
        response = pb.RotateWebhookSecretResponse(secret=rotated.secret)
        conversion.timestamp(rotated.former_expires_at, response.former_expires_at)
        return response

    async def DeleteWebhook(
        self, request: pb.DeleteWebhookRequest, caller: Caller
    ) -> pb.DeleteWebhookResponse:
        await self._webhooks.delete(caller.tenant_id, request.webhook_id)
        return pb.DeleteWebhookResponse()

    async def TestWebhook(
        self, request: pb.TestWebhookRequest, caller: Caller
    ) -> pb.TestWebhookResponse:
        outcome = await self._webhooks.test(
            caller.tenant_id, request.webhook_id, caller.platform_deadline
        )
        return pb.TestWebhookResponse(
            delivered=outcome.delivered, http_status=outcome.http_status, cause=outcome.cause
        )

    async def ListFailedDeliveries(
        self, request: pb.ListFailedDeliveriesRequest, caller: Caller
    ) -> pb.ListFailedDeliveriesResponse:
        page = await self._webhooks.failed(
            caller.tenant_id, request.webhook_id, request.page_size, request.page_token
        )
        response = pb.ListFailedDeliveriesResponse(next_page_token=page.next_page_token)
        for delivery in page.deliveries:
            _failed(delivery, response.deliveries.add())
        return response

    async def ReplayDeliveries(
        self, request: pb.ReplayDeliveriesRequest, caller: Caller
    ) -> pb.ReplayDeliveriesResponse:
        replayed = await self._webhooks.replay(
            caller.tenant_id,
            request.webhook_id,
            since=_micros(request.since) if request.HasField("since") else None,
            message_id=request.message_id if request.HasField("message_id") else None,
        )
        return pb.ReplayDeliveriesResponse(replayed=replayed)


def _webhook(source: Webhook, message: pb.Webhook) -> None:
    message.webhook_id = source.webhook_id
    message.url = source.url
    message.event_types.extend(source.event_types)
    conversion.timestamp(source.created_at, message.created_at)
    message.state = pb.WEBHOOK_STATE_ENABLED
    if source.disabled_reason is not None:
        message.state = pb.WEBHOOK_STATE_DISABLED
        message.disabled_reason = DISABLED_REASONS[source.disabled_reason]
    if source.failing_since is not None:
        conversion.timestamp(source.failing_since, message.failing_since)


def _failed(source: Delivery, message: pb.FailedDelivery) -> None:
    message.message_id = source.message_id
    message.event_type = source.event_type
    message.profile_key = source.profile_key
    conversion.timestamp(source.failed_at or 0, message.failed_at)
    message.attempts = source.attempts
    message.cause = source.cause
    message.http_status = source.http_status


def _micros(at: Timestamp) -> Micros:
    if not MIN_SECONDS <= at.seconds <= MAX_SECONDS or not 0 <= at.nanos < 1_000_000_000:
        raise InvalidRequest("since", "must be a time from 1970 to 9999")
    return at.seconds * SECOND + at.nanos // 1000
