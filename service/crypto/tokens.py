"""Tokens: opaque, authenticated texts that callers send back, and fingerprints of requests."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.crypto.keyring import Key, KeyPurpose, Keyring
from service.crypto.vault import length_prefixed
from service.domain.links import LinkSecret
from service.domain.model import Place
from service.domain.records import Fingerprint

FORMAT = 1
TAG_BYTES = 16
MAX_TOKEN_CHARS = 512
REQUEST = b"postcore idempotency"
PAGE = b"postcore page"
CURSOR = b"postcore cursor"
LINK = b"postcore connect link"


class InvalidToken(Exception):
    """The text is not a token of this service for this use."""


class Tokens:
    """Makes and reads tokens, with a key for each use, derived (HKDF) from the `token` key."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def fingerprint(self, parts: Iterable[str]) -> Fingerprint:
        """Return an HMAC-SHA-256 of *parts*, which may hold secrets.

        Without the keyring, guesses of the parts cannot be checked against it.
        """
        key = self._keyring.active(KeyPurpose.TOKEN)
        return Fingerprint(key.key_id, _tag(key, REQUEST, _encoded(parts)))

    def matches(self, fingerprint: Fingerprint, parts: Iterable[str]) -> bool:
        """Return whether *fingerprint* is one of the same *parts*; raises UnknownKey."""
        key = self._keyring.key(KeyPurpose.TOKEN, fingerprint.ring_key_id)
        return hmac.compare_digest(fingerprint.digest, _tag(key, REQUEST, _encoded(parts)))

    def page(self, place: Place, *bound_to: str) -> str:
        """Return a token for *place* in a list, valid only with the same *bound_to*.

        Content: the time (8 bytes), the profile's key.
        """
        content = place.created_at.to_bytes(8, "big") + place.profile_key.encode()
        return self._token(PAGE, content, bound_to)

    def place(self, token: str, *bound_to: str) -> Place:
        """Return the place that `page` put in *token*; raises InvalidToken."""
        content = self._content(PAGE, token, bound_to)
        return Place(int.from_bytes(content[:8], "big"), content[8:].decode())

    def cursor(self, number: int, *bound_to: str) -> str:
        """Return a token for the event *number*, valid only with the same *bound_to*.

        Content: the number (8 bytes).
        """
        return self._token(CURSOR, number.to_bytes(8, "big"), bound_to)

    def number(self, token: str, *bound_to: str) -> int:
        """Return the number that `cursor` put in *token*; raises InvalidToken."""
        return int.from_bytes(self._content(CURSOR, token, bound_to), "big")

    def link(self, link_id: str, key_id: str = "") -> tuple[str, LinkSecret]:
        """Return the token of the connect link *link_id*, and what is stored of the token.

        It is always the same under one key: *key_id*, or the active one. Raises UnknownKey.
        """
        ring = self._keyring
        key = ring.key(KeyPurpose.TOKEN, key_id) if key_id else ring.active(KeyPurpose.TOKEN)
        token = _token(key, LINK, link_id.encode(), ())
        return token, LinkSecret(_digest(token), key.key_id)

    def link_digest(self, token: str) -> bytes:
        """Return what finds the link of *token*; raises InvalidToken."""
        self._content(LINK, token, ())
        return _digest(token)

    def _token(self, use: bytes, content: bytes, bound_to: Iterable[str]) -> str:
        return _token(self._keyring.active(KeyPurpose.TOKEN), use, content, bound_to)

    def _content(self, use: bytes, token: str, bound_to: Iterable[str]) -> bytes:
        """Return the content of *token*; raises InvalidToken."""
        try:
            raw = base64.b64decode(f"{token}{'=' * (-len(token) % 4)}", b"-_", validate=True)
            # accepts only the canonical encoding of the bytes
            if len(token) > MAX_TOKEN_CHARS or _base64(raw) != token or raw[0] != FORMAT:
                raise InvalidToken
            name, rest = raw[2 : 2 + raw[1]], raw[2 + raw[1] :]
            key = self._keyring.find(KeyPurpose.TOKEN, name.decode())
            tag, content = rest[:TAG_BYTES], rest[TAG_BYTES:]
            if key is None or not hmac.compare_digest(tag, _token_tag(key, use, content, bound_to)):
                raise InvalidToken
            return content
        except (binascii.Error, ValueError, IndexError):
            raise InvalidToken from None


def _token(key: Key, use: bytes, content: bytes, bound_to: Iterable[str]) -> str:
    """Return base64url without padding of: format (1 byte), length of the key's id (1), the id, the
    tag (16), *content*.
    """
    name = key.key_id.encode()
    tag = _token_tag(key, use, content, bound_to)
    return _base64(bytes([FORMAT, len(name)]) + name + tag + content)


def _token_tag(key: Key, use: bytes, content: bytes, bound_to: Iterable[str]) -> bytes:
    return _tag(key, use, length_prefixed([content, _encoded(bound_to)]))[:TAG_BYTES]


def _tag(key: Key, use: bytes, message: bytes) -> bytes:
    return hmac.digest(_derived(key.secret, use), message, "sha256")


@lru_cache(maxsize=64)
def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=use).derive(secret)


def _encoded(parts: Iterable[str]) -> bytes:
    return length_prefixed(part.encode() for part in parts)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
