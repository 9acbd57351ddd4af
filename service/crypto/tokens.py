"""Tokens: opaque, authenticated texts that callers bring back, and fingerprints of requests."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.crypto.keyring import Key, KeyPurpose, Keyring
from service.crypto.vault import length_prefixed
from service.domain.model import Place
from service.domain.records import Fingerprint

FORMAT = 1
TAG = 16
LONGEST = 512
REQUEST = b"postcore idempotency"
PAGE = b"postcore page"
CURSOR = b"postcore cursor"


class InvalidToken(Exception):
    """A text that is not a token of ours for this use."""


class Tokens:
    """Made under keys derived (HKDF) from the keyring's `token` key, one for each use."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def fingerprint(self, parts: Iterable[str]) -> Fingerprint:
        """An HMAC-SHA-256 over *parts*, which may hold secrets: they cannot be guessed from it
        without the keyring."""
        key = self._keyring.active(KeyPurpose.TOKEN)
        return Fingerprint(key.key_id, _tag(key, REQUEST, _encoded(parts)))

    def matches(self, fingerprint: Fingerprint, parts: Iterable[str]) -> bool:
        """Whether *fingerprint* was made from the same *parts*; raises UnknownKey."""
        key = self._keyring.key(KeyPurpose.TOKEN, fingerprint.ring_key_id)
        return hmac.compare_digest(fingerprint.digest, _tag(key, REQUEST, _encoded(parts)))

    def page(self, place: Place, *bound_to: str) -> str:
        """A token for *place* in a list, good only where *bound_to* is the same.

        What is written in it: the time (8 bytes), the profile's key.
        """
        written = place.created_at.to_bytes(8, "big") + place.profile_key.encode()
        return self._token(PAGE, written, bound_to)

    def place(self, token: str, *bound_to: str) -> Place:
        """The place that `page` made *token* of; raises InvalidToken."""
        written = self._written(PAGE, token, bound_to)
        return Place(int.from_bytes(written[:8], "big"), written[8:].decode())

    def cursor(self, number: int, *bound_to: str) -> str:
        """A token for the event of that *number*, good only where *bound_to* is the same.

        What is written in it: the number (8 bytes).
        """
        return self._token(CURSOR, number.to_bytes(8, "big"), bound_to)

    def number(self, token: str, *bound_to: str) -> int:
        """The number that `cursor` made *token* of; raises InvalidToken."""
        return int.from_bytes(self._written(CURSOR, token, bound_to), "big")

    def _token(self, use: bytes, written: bytes, bound_to: Iterable[str]) -> str:
        """Base64url without padding, of: format (1 byte), length of the key's id (1), the id, the
        tag (16), *written*."""
        key = self._keyring.active(KeyPurpose.TOKEN)
        name = key.key_id.encode()
        tag = _token_tag(key, use, written, bound_to)
        return _base64(bytes([FORMAT, len(name)]) + name + tag + written)

    def _written(self, use: bytes, token: str, bound_to: Iterable[str]) -> bytes:
        """What `_token` was given; raises InvalidToken."""
        try:
            raw = base64.b64decode(f"{token}{'=' * (-len(token) % 4)}", b"-_", validate=True)
            # of the many texts that decode to the same bytes, only the one that we write counts
            if len(token) > LONGEST or _base64(raw) != token or raw[0] != FORMAT:
                raise InvalidToken
            name, rest = raw[2 : 2 + raw[1]], raw[2 + raw[1] :]
            key = self._keyring.find(KeyPurpose.TOKEN, name.decode())
            tag, written = rest[:TAG], rest[TAG:]
            if key is None or not hmac.compare_digest(tag, _token_tag(key, use, written, bound_to)):
                raise InvalidToken
            return written
        except (binascii.Error, ValueError, IndexError):
            raise InvalidToken from None


def _token_tag(key: Key, use: bytes, written: bytes, bound_to: Iterable[str]) -> bytes:
    return _tag(key, use, length_prefixed([written, _encoded(bound_to)]))[:TAG]


def _tag(key: Key, use: bytes, message: bytes) -> bytes:
    return hmac.digest(_derived(key.secret, use), message, "sha256")


@lru_cache(maxsize=64)
def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=use).derive(secret)


def _encoded(parts: Iterable[str]) -> bytes:
    return length_prefixed(part.encode() for part in parts)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
