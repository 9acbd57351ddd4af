"""Sender: one try to deliver one message."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from service.crypto.keyring import UnknownKey
from service.crypto.vault import Unreadable, Vault
from service.domain.clock import Clock
from service.domain.errors import PlatformUnavailable
from service.domain.model import SECOND, Micros, PlatformUnavailableCause
from service.domain.webhooks import Webhook, WebhookSecret
from service.events.webhooks import backoff, messages
from service.events.webhooks.secrets import opened
from service.platforms.egress.receivers import ReceiverAnswer, Receivers

SEND_SECONDS = 10.0
TEST_SECONDS = 5.0
GONE = 410
HTTP_STATUS = "HTTP_STATUS"
SECRET_UNREADABLE = "SECRET_UNREADABLE"  # noqa: S105 - a cause, no secret
SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended. *cause*: empty if the receiver answered 2xx. *wait*: what it asks for."""

    cause: str = ""
    http_status: int = 0
    wait: Micros = 0

    @property
    def delivered(self) -> bool:
        return not self.cause

    @property
    def is_gone(self) -> bool:
        return self.http_status == GONE


class Sender:
    """Signs messages and posts them."""

    def __init__(self, receivers: Receivers, vault: Vault, clock: Clock) -> None:
        self._receivers = receivers
        self._vault = vault
        self._clock = clock

    def opened(self, webhook: Webhook, secrets: Sequence[WebhookSecret]) -> list[str]:
        """Open the secrets of *webhook*; one that does not open is left out, and logged."""
        found = []
        for secret in secrets:
            try:
                found.append(opened(secret, webhook, self._vault))
            except (UnknownKey, Unreadable):
                continue
        return found

    async def send(
        self,
        webhook: Webhook,
        secrets: Sequence[str],
        message_id: str,
        text: str,
        seconds: float = SEND_SECONDS,
    ) -> Outcome:
        """Try once; return within *seconds*. Never raises, except CancelledError."""
        if not secrets:
            return Outcome(SECRET_UNREADABLE)
        # a database that was edited must not lead messages elsewhere, or into the network
        if self._receivers.fault(webhook.url):
            return Outcome(PlatformUnavailableCause.ADDRESS_NOT_ALLOWED)
        headers = messages.headers(secrets, message_id, self._clock.now(), text)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._receivers.post(webhook.url, headers, text.encode())
        except TimeoutError:
            return Outcome(PlatformUnavailableCause.TIMEOUT)
        except PlatformUnavailable as error:
            return Outcome(error.cause)
        if 200 <= answer.status < 300:
            return Outcome(http_status=answer.status)
        return Outcome(HTTP_STATUS, answer.status, retry_after(answer, self._clock.now()))


def retry_after(answer: ReceiverAnswer, now: Micros) -> Micros:
    """Return how long the receiver asks to wait, at most MAX_RETRY_AFTER; 0 if it does not."""
    given = answer.headers.get("retry-after", "").strip()
    if SECONDS.fullmatch(given):
        return min(int(given) * SECOND, backoff.MAX_RETRY_AFTER)
    try:
        wait = int(parsedate_to_datetime(given).timestamp()) * SECOND - now
    except (ValueError, TypeError, OverflowError):
        return 0
    return min(max(0, wait), backoff.MAX_RETRY_AFTER)
