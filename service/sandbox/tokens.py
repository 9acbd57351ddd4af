"""Token: a JWT of the server's own, signed with HS256, as the real server makes them."""

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

_VEIL = "opaque_"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh hands out."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)

    def veiled(self) -> "Tokens":
        """The same, as tokens that are no JWTs."""
        return Tokens(veiled(self.access), veiled(self.refresh))


def veiled(token: str) -> str:
    """*token* as one that tells its bearer nothing."""
    return _VEIL + _encode(token.encode())


def unveiled(token: str) -> str:
    """The token that `veiled` made *token* of; any other is given back as it is."""
    if not token.startswith(_VEIL):
        return token
    try:
        return _decode(token.removeprefix(_VEIL)).decode()
    except ValueError:
        return token


def sign(secret: bytes, kind: str, claims: Mapping[str, object]) -> str:
    """A token of *kind* that says *claims*."""
    signed = f"{_part({'typ': kind, 'alg': 'HS256'})}.{_part(claims)}"
    return f"{signed}.{_encode(_mac(secret, signed))}"


def verify(
    secret: bytes, token: str, kind: str, *, now: float, lapsed_too: bool = False
) -> dict[str, Any]:
    """The claims of *token*; raise InvalidToken or, unless *lapsed_too*, ExpiredToken."""
    try:
        head, body, signature = token.split(".")
        header, claims = json.loads(_decode(head)), json.loads(_decode(body))
        good = hmac.compare_digest(_decode(signature), _mac(secret, f"{head}.{body}"))
        lapsed = claims["exp"] <= now
    except (ValueError, TypeError, KeyError):
        raise InvalidToken("Token could not be verified") from None
    if not good:
        raise InvalidToken("Token could not be verified")
    if lapsed and not lapsed_too:
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
