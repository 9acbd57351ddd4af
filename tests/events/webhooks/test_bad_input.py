"""Bad input: URLs, secrets, types and ids that are refused, each with its field."""

import asyncio

import grpc.aio
import pytest

from postcore.profiles.v1 import webhook_service_pb2 as pb
from service.domain.clock import SystemClock
from service.domain.webhooks import MAX_WEBHOOKS, Webhook
from service.events.webhooks.sender import Sender
from service.platforms.egress.receivers import Receivers
from tests.platforms.conftest import authority, internet, public_authority
from tests.platforms.dns_server import Reply
from tests.platforms.internet import WEB, Internet
from tests.platforms.raw import respond
from tests.support import sharing
from tests.support.running import Refusal, Running, refusal_of

__all__ = ["authority", "internet", "public_authority"]

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
URL = "https://hooks.example.com/in"
URLS = [
    *("", "x", "hooks.example.com", "ftp://hooks.example.com", "http://hooks.example.com/in"),
    *("https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/"),
    *("https://localhost/", "https://intranet/", "https://2130706433/", "https://0x7f000001/"),
    *("https://hooks.example.com:8443/", "https://hooks.example.com:99999/"),
    *("https://user:password@hooks.example.com/", "https://user@hooks.example.com/"),
    *("https://hooks.example.com@10.0.0.1/", "https://hooks.example.com\\@10.0.0.1/"),
    *("https://hooks.example.com/#part", "https://hooks.example.com/a b", "https://hooks\n.com/"),
    *("https://hooks.example.com/ü", "https://hooks.exämple.com/", "javascript:alert(1)"),
    *("https://hooks.example.com%2f@10.0.0.1/", "https:///in", "https://./", "//hooks.example.com"),
    "https://hooks.example.com/" + "x" * 2048,
]
SECRETS = [
    *("", "x", "whsec_", "whsec_short", "whsec_" + "A" * 28 + "!", "WHSEC_" + "A" * 44),
    *("A" * 44, "whsec_" + "A" * 92, "whsec_ " + "A" * 43, "whsec_" + "é" * 44),
]


async def refused(service: Running, method: str, request: object, key: str = "") -> Refusal:
    metadata = service.metadata(key) if key else await service.webhook_metadata()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(service.webhooks, method)(request, metadata=metadata)
    return refusal_of(caught.value)


@pytest.mark.parametrize("url", URLS)
async def test_a_url_that_leads_elsewhere_is_refused(sandboxed: Running, url: str) -> None:
    """Inside the network, with user information, not https: nothing is stored."""
    refusal = await refused(sandboxed, "CreateWebhook", pb.CreateWebhookRequest(url=url))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("url",))
    assert sandboxed.rows("SELECT * FROM webhooks") == []


@pytest.mark.parametrize("secret", SECRETS)
async def test_a_malformed_secret_is_refused(sandboxed: Running, secret: str) -> None:
    """The reply does not repeat it."""
    request = pb.CreateWebhookRequest(url=URL, secret=secret)
    refusal = await refused(sandboxed, "CreateWebhook", request)
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("secret",))
    assert len(secret) < 10 or secret not in refusal.message


@pytest.mark.parametrize(
    "types", [["x"], ["connection"], ["webhook.test"], ["connection.broken"] * 2]
)
async def test_unknown_types_are_refused(sandboxed: Running, types: list[str]) -> None:
    """And one that is named twice."""
    request = pb.CreateWebhookRequest(url=URL, event_types=types)
    refusal = await refused(sandboxed, "CreateWebhook", request)
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("event_types",))


async def test_a_tenant_has_a_limited_number(sandboxed: Running) -> None:
    """The next one is refused with the limit; another tenant's do not count."""
    for _ in range(MAX_WEBHOOKS):
        await sandboxed.webhook(URL)
    refusal = await refused(sandboxed, "CreateWebhook", pb.CreateWebhookRequest(url=URL))
    assert (refusal.reason, refusal.metadata) == (
        "WEBHOOK_LIMIT_REACHED",
        {"limit": str(MAX_WEBHOOKS)},
    )


@pytest.mark.parametrize("webhook_id", ["wh_0123456789abcdef", "x", "wh_", "wh_" + "x" * 5000])
async def test_what_is_not_there_is_not_found(sandboxed: Running, webhook_id: str) -> None:
    """By any method, in the same words."""
    for method in ("GetWebhook", "EnableWebhook", "RotateWebhookSecret", "DeleteWebhook"):
        request = getattr(pb, f"{method}Request")(webhook_id=webhook_id)
        refusal = await refused(sandboxed, method, request)
        assert (refusal.reason, refusal.message) == ("WEBHOOK_NOT_FOUND", "Webhook not found")


async def test_other_scopes_are_not_enough(sandboxed: Running) -> None:
    """Not even to read: a URL may hold a secret."""
    for method in ("CreateWebhook", "ListWebhooks"):
        request = getattr(pb, f"{method}Request")()
        refusal = await refused(sandboxed, method, request, sandboxed.api_key)
        assert (refusal.reason, refusal.metadata) == (
            "INSUFFICIENT_SCOPE",
            {"requiredScope": "webhooks:write"},
        )


async def test_tests_are_limited(sandboxed: Running) -> None:
    """Somebody with a key cannot make the service knock at a server without end."""
    webhook_id, _ = await sandboxed.webhook("https://hooks.invalid/in")
    metadata = await sandboxed.webhook_metadata()
    request = pb.TestWebhookRequest(webhook_id=webhook_id)
    calls = (
        sandboxed.webhooks.TestWebhook(request, metadata=metadata, timeout=60) for _ in range(50)
    )
    ended = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [refusal_of(one) for one in ended if isinstance(one, grpc.aio.AioRpcError)]
    assert {one.reason for one in refusals} == {"RATE_LIMIT_EXCEEDED"}
    assert 5 <= 50 - len(refusals) < 50


async def test_a_name_that_changes_to_a_private_address(internet: Internet) -> None:
    """DNS rebinding: the address that was checked is the one connected to, at each try."""
    receivers = Receivers(internet.egress, frozenset())
    sender = Sender(receivers, None, SystemClock())  # type: ignore[arg-type]
    webhook = Webhook("wh_0123456789abcdef", "ten_a", URL, (), 0)
    secrets = ["whsec_" + "A" * 44]
    internet.site("hooks.example.com", "/in", respond("", connection="close"))
    assert (await sender.send(webhook, secrets, "msg_a_1", "{}")).delivered
    for addresses in (("127.0.0.1",), ("10.0.0.1",), (WEB, "127.0.0.1"), ("169.254.169.254",)):
        internet.dns.say("hooks.example.com", "A", Reply(addresses))
        outcome = await sender.send(webhook, secrets, "msg_a_1", "{}")
        assert outcome.cause == "ADDRESS_NOT_ALLOWED"
    assert internet.dialled == [(WEB, 443)]


async def test_an_edited_url_gets_nothing(internet: Internet) -> None:
    """A URL that somebody wrote to the database, past the checks."""
    receivers = Receivers(internet.egress, frozenset())
    sender = Sender(receivers, None, SystemClock())  # type: ignore[arg-type]
    for url in ("http://127.0.0.1:9/", "https://10.0.0.1/", "https://a@b.example.com/"):
        webhook = Webhook("wh_0123456789abcdef", "ten_a", url, (), 0)
        outcome = await sender.send(webhook, ["whsec_" + "A" * 44], "msg_a_1", "{}")
        assert outcome.cause == "ADDRESS_NOT_ALLOWED"
    assert internet.dialled == []
