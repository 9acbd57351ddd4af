"""The vault: envelope encryption that binds a secret to its place.

Each secret has a data key of its own (AES-256-GCM), wrapped by a key of the keyring. Both are bound
to the place that the secret belongs to, so that an envelope moved to another row, or a row whose
plain columns were edited, does not open.

    format 1 = 1 (1 byte) · nonce (12) · wrapped data key (32 + 16) · nonce (12) · ciphertext
    format 2 = 2 (1 byte) · salt (16) · and the same

In format 1 the keyring's key wraps by itself: with random nonces, for 2^32 envelopes at most. In
format 2 each envelope has a wrapping key: HKDF-Expand of the keyring's key with a random salt. The
keyring's key is uniformly random, and so HKDF's extract step is left out (RFC 5869, section 3.3).
How a key of the keyring seals is its own (`Key.wrap`); both formats open.
"""

import hmac
import secrets
from collections.abc import Iterable

import orjson
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.crypto.keyring import Key, KeyPurpose, Keyring, Wrap
from service.domain.model import Session
from service.domain.records import Envelope, Purpose, SecretAddress, SessionEnvelope

FORMATS = {Wrap.DIRECT: 1, Wrap.DERIVED: 2}
SALT = {1: 0, 2: 16}
"""Bytes of salt by format."""
NONCE = 12
WRAPPED = 32 + 16
WRAPPING = b"postcore wrapping key"

log = structlog.get_logger()


class Unreadable(Exception):
    """An envelope whose key is in the keyring, and which yet does not open: cut, moved or
    edited."""


class Vault:
    """Seals and opens secrets with the keys of *keyring*."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, secret: str, purpose: Purpose, context: SecretAddress) -> Envelope:
        """*secret*, so that it opens for the same *purpose* in the same *context* only."""
        key = self._keyring.active(KeyPurpose.SEAL)
        format_ = FORMATS[key.wrap]
        place = _place(format_, key.key_id, purpose, context)
        data_key, salt = AESGCM.generate_key(256), secrets.token_bytes(SALT[format_])
        wrap_nonce, nonce = secrets.token_bytes(NONCE), secrets.token_bytes(NONCE)
        wrapped = AESGCM(_wrapping_key(key.secret, salt)).encrypt(wrap_nonce, data_key, place)
        ciphertext = AESGCM(data_key).encrypt(nonce, secret.encode(), place)
        envelope = bytes([format_]) + salt + wrap_nonce + wrapped + nonce + ciphertext
        return Envelope(key.key_id, envelope)

    def seal_session(self, session: Session, context: SecretAddress) -> Envelope:
        """Both tokens and their expiry as one secret; `open_session` gives them back."""
        tokens = [session.access_token, session.refresh_token, session.expires_at]
        return self.seal(orjson.dumps(tokens).decode(), Purpose.SESSION, context)

    def open_session(self, stored: SessionEnvelope) -> Session:
        """Raises as `open` does."""
        return Session(*orjson.loads(self.open(stored.sealed, Purpose.SESSION, stored.context)))

    def reseal(self, sealed: Envelope, purpose: Purpose, context: SecretAddress) -> Envelope:
        """The same secret under the active key. Raises as `open` does.

        Envelope anew, data key and all, rather than wrapped anew: the ciphertext is bound to the id
        of the key too, and whoever once had the former key, and a copy of the row, shall not hold
        the data key of the row as it is from now on.
        """
        if sealed.ring_key_id == self._keyring.active(KeyPurpose.SEAL).key_id:
            return sealed
        return self.seal(self.open(sealed, purpose, context), purpose, context)

    def open(self, sealed: Envelope, purpose: Purpose, context: SecretAddress) -> str:
        """The secret that was sealed there.

        Raises UnknownKey where the keyring lacks the key (which proves nothing of the envelope),
        and Unreadable where it has the key and the envelope does not open. Either is an alarm.
        """
        key = self._keyring.key(KeyPurpose.SEAL, sealed.ring_key_id)
        try:
            return _opened(key, sealed.envelope, purpose, context)
        except Unreadable:
            log.error(
                "secret does not open",
                purpose=purpose.value,
                tenant=context.tenant_id,
                profile=context.profile_key,
                platform=context.platform,
                key_id=key.key_id,
            )
            raise


def _opened(key: Key, envelope: bytes, purpose: Purpose, context: SecretAddress) -> str:
    format_ = envelope[0] if envelope else 0
    start = 1 + SALT.get(format_, 0)
    end = start + NONCE + WRAPPED
    if format_ not in SALT or len(envelope) < end + NONCE + 16:
        raise Unreadable
    wrap_nonce, wrapped = envelope[start : start + NONCE], envelope[start + NONCE : end]
    nonce, ciphertext = envelope[end : end + NONCE], envelope[end + NONCE :]
    place = _place(format_, key.key_id, purpose, context)
    try:
        wrapping = AESGCM(_wrapping_key(key.secret, envelope[1:start]))
        data_key = wrapping.decrypt(wrap_nonce, wrapped, place)
        return AESGCM(data_key).decrypt(nonce, ciphertext, place).decode()
    except (InvalidTag, UnicodeDecodeError):
        raise Unreadable from None


def _wrapping_key(secret: bytes, salt: bytes) -> bytes:
    """The wrapping key of format 2: HKDF-Expand of *secret* to 32 bytes, which is its first block,
    with a label and *salt* as info. Of format 1, which has no salt, *secret* itself."""
    return hmac.digest(secret, WRAPPING + salt + b"\x01", "sha256") if salt else secret


def _place(format_: int, key_id: str, purpose: Purpose, context: SecretAddress) -> bytes:
    parts = (
        str(format_),
        key_id,
        context.tenant_id,
        context.profile_key,
        context.platform,
        context.account_id,
        context.origin,
        str(context.generation),
        purpose.value,
    )
    return length_prefixed([part.encode() for part in parts])


def length_prefixed(parts: Iterable[bytes]) -> bytes:
    """*parts* joined so that no two different lists give the same bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])
