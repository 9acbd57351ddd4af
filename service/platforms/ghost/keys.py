"""Keys: an Admin API key signs the tokens that are sent in its place.

A token is a JWT (HS256) whose `kid` is the first part of the key; the second part, in hexadecimal,
is the secret. Ghost rejects it five minutes after `iat`, whatever `exp` says. Source: Ghost's
core/server/services/auth/api-key/admin.js.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from service.domain.model import SECOND, Micros

AUDIENCE = "/admin/"
LIFETIME_SECONDS = 5 * 60
MAX_TOKEN_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class AdminKey:
    """An Admin API key. Its repr has the id alone."""

    key_id: str
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `ID:SECRET`, a key of the card's pattern."""
        key_id, _, secret = text.partition(":")
        return cls(key_id, bytes.fromhex(secret))

    def token(self, at: Micros) -> tuple[str, Micros]:
        """Return a token that is signed at the time *at*, and how long it is good from then on."""
        issued = at // SECOND
        header = {"alg": "HS256", "typ": "JWT", "kid": self.key_id}
        claims = {"iat": issued, "exp": issued + LIFETIME_SECONDS, "aud": AUDIENCE}
        signed = f"{_part(header)}.{_part(claims)}"
        return f"{signed}.{self._signature(signed)}", (issued + LIFETIME_SECONDS) * SECOND - at

    def is_good(self, token: str, at: Micros) -> bool:
        """Whether this key signed *token*, and it is good at the time *at*."""
        signed, _, signature = token.rpartition(".")
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return False
        if not hmac.compare_digest(self._signature(signed), signature):
            return False
        # ours: it need not be checked any further
        claims = signed.partition(".")[2]
        expires: int = json.loads(base64.urlsafe_b64decode(f"{claims}=="))["exp"]
        return at < expires * SECOND

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self.secret, signed.encode(), "sha256"))


def _part(content: Mapping[str, object]) -> str:
    return _base64(json.dumps(content, separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
