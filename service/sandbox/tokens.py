"""Tokens: JWTs signed with HS256, as those of the real server; and opaque tokens."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.sandbox.refusals import ExpiredToken, InvalidToken

ACCESS = "at+jwt"
REFRESH = "refresh+jwt"

_OPAQUE = "opaque_"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a login or a refresh."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)

    def veiled(self) -> "Tokens":
        """Return them as opaque tokens."""
        return Tokens(veiled(self.access), veiled(self.refresh))


def veiled(token: str) -> str:
    """Return *token* as an opaque token, which is no JWT."""
    return _OPAQUE + _encode(token.encode())


def unveiled(token: str) -> str:
    """Return the token in an opaque token. Other tokens are returned unchanged."""
    if not token.startswith(_OPAQUE):
        return token
    try:
        return _decode(token.removeprefix(_OPAQUE)).decode()
    except ValueError:
        return token


def sign(secret: bytes, kind: str, claims: Mapping[str, object]) -> str:
    """Return a signed token of *kind*."""
    signed = f"{_part({'typ': kind, 'alg': 'HS256'})}.{_part(claims)}"
    return f"{signed}.{_encode(_mac(secret, signed))}"


def verify(
    secret: bytes, token: str, kind: str, *, now: float, allow_expired: bool = False
) -> dict[str, Any]:
    """Return the claims of *token*; raise InvalidToken or, unless *allow_expired*, ExpiredToken."""
    try:
        head, body, signature = token.split(".")
        header, claims = json.loads(_decode(head)), json.loads(_decode(body))
        is_signed = hmac.compare_digest(_decode(signature), _mac(secret, f"{head}.{body}"))
        is_expired = claims["exp"] <= now
    except (ValueError, TypeError, KeyError):
        raise InvalidToken("Token could not be verified") from None
    if not is_signed:
        raise InvalidToken("Token could not be verified")
    if is_expired and not allow_expired:
        raise ExpiredToken("Token has expired")
    if header["typ"] != kind:
        raise InvalidToken("Invalid token type")
    return dict(claims)


def _mac(secret: bytes, signed: str) -> bytes:
    return hmac.digest(secret, signed.encode(), hashlib.sha256)


def _part(claims: Mapping[str, object]) -> str:
    return _encode(json.dumps(claims, separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
