"""The secrets of webhooks: `whsec_` and base64, as Standard Webhooks defines them."""

import base64
import binascii
import secrets

from service.crypto.vault import Vault
from service.domain.errors import InvalidRequest
from service.domain.records import Purpose
from service.domain.webhooks import Webhook, WebhookSecret

PREFIX = "whsec_"
NEW_BYTES = 32
MIN_BYTES, MAX_BYTES = 24, 64
"""As the specification has it."""
MALFORMED = f"must be {PREFIX} and {MIN_BYTES} to {MAX_BYTES} bytes in base64"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def check_secret(secret: str) -> None:
    """Raise InvalidRequest unless *secret* has the form of one."""
    try:
        if not secret.startswith(PREFIX):
            raise ValueError
        raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidRequest("secret", MALFORMED) from None
    if not MIN_BYTES <= len(raw) <= MAX_BYTES:
        raise InvalidRequest("secret", MALFORMED)


def sealed(secret: str, webhook: Webhook, vault: Vault) -> WebhookSecret:
    """Seal *secret* for *webhook*, under a new generation."""
    generation = secrets.randbelow(2**62) + 1
    envelope = vault.seal(secret, Purpose.WEBHOOK, webhook.address(generation))
    return WebhookSecret(generation, envelope, None)


def opened(secret: WebhookSecret, webhook: Webhook, vault: Vault) -> str:
    """Open *secret*. Raises UnknownKey or Unreadable."""
    return vault.open(secret.sealed, Purpose.WEBHOOK, webhook.address(secret.generation))
