"""The vault: envelope encryption that binds a secret to its address.

Each secret has its own data key (AES-256-GCM). A key from the keyring wraps the data key, directly
or through a derived key. The wrapped data key and the ciphertext are bound to the secret's address.
An envelope that was moved to another row does not open. If a plain column of the address was
edited, the envelope does not open either.

    format 1 = 1 (1 byte) · nonce (12) · wrapped data key (32 + 16) · nonce (12) · ciphertext
    format 2 = 2 (1 byte) · salt (16) · the same as in format 1, from the first nonce on

In format 1 the keyring's key itself wraps, with random nonces. One key is safe for 2^32 envelopes.
In format 2 each envelope has its own wrapping key: HKDF-Expand of the keyring's key with a random
salt. The keyring's key is uniformly random, so HKDF's extract step is omitted (RFC 5869, section
3.3). `Key.wrap` selects the format that a key seals in; both formats open.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable

import orjson
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.crypto.keyring import Key, KeyPurpose, Keyring, UnknownKey, Wrap
from service.domain.model import Session
from service.domain.records import Envelope, Purpose, SecretAddress, SessionEnvelope

FORMATS = {Wrap.DIRECT: 1, Wrap.DERIVED: 2}
SALT_BYTES = {1: 0, 2: 16}
"""By format."""
NONCE_BYTES = 12
TAG_BYTES = 16
WRAPPED_BYTES = 32 + TAG_BYTES
WRAPPING_LABEL = b"postcore wrapping key"

log = structlog.get_logger()


def _ignore(_: str) -> None:
    """Note nothing."""


class Unreadable(Exception):
    """An envelope does not open with its key: it was cut, moved or edited."""


class Vault:
    """Seals and opens secrets with the keys of *keyring*.

    *note_failure* is called with `key_missing` or `unreadable` for each secret that does not open.
    """

    def __init__(self, keyring: Keyring, note_failure: Callable[[str], None] = _ignore) -> None:
        self._note_failure = note_failure
        self._keyring = keyring

    def seal(self, secret: str, purpose: Purpose, address: SecretAddress) -> Envelope:
        """Seal *secret* so that it opens only for the same *purpose* at the same *address*."""
        key = self._keyring.active(KeyPurpose.SEAL)
        format_ = FORMATS[key.wrap]
        aad = _associated_data(format_, key.key_id, purpose, address)
        data_key, salt = AESGCM.generate_key(256), secrets.token_bytes(SALT_BYTES[format_])
        wrap_nonce, nonce = secrets.token_bytes(NONCE_BYTES), secrets.token_bytes(NONCE_BYTES)
        wrapped = AESGCM(_wrapping_key(key.secret, salt)).encrypt(wrap_nonce, data_key, aad)
        ciphertext = AESGCM(data_key).encrypt(nonce, secret.encode(), aad)
        envelope = bytes([format_]) + salt + wrap_nonce + wrapped + nonce + ciphertext
        return Envelope(key.key_id, envelope)

    def seal_session(self, session: Session, address: SecretAddress) -> Envelope:
        """Seal both tokens and their expiry as one secret; `open_session` opens it."""
        tokens = [session.access_token, session.refresh_token, session.expires_at]
        return self.seal(orjson.dumps(tokens).decode(), Purpose.SESSION, address)

    def open_session(self, stored: SessionEnvelope) -> Session:
        """Return the session; raises as `open` does."""
        tokens = orjson.loads(self.open(stored.sealed, Purpose.SESSION, stored.address))
        return Session(*tokens[:3])  # a newer version may have added elements

    def rewrap(self, sealed: Envelope, purpose: Purpose, address: SecretAddress) -> Envelope:
        """Return the same secret sealed with the active key. Raises as `open` does.

        Returns *sealed* itself if the active key sealed it. Otherwise makes a new data key, for two
        reasons. The ciphertext is bound to the id of the wrapping key. An attacker with the former
        key and a copy of the row knows the former data key.
        """
        if sealed.ring_key_id == self._keyring.active(KeyPurpose.SEAL).key_id:
            return sealed
        return self.seal(self.open(sealed, purpose, address), purpose, address)

    def open(self, sealed: Envelope, purpose: Purpose, address: SecretAddress) -> str:
        """Return the secret in *sealed*.

        Raises UnknownKey if the keyring lacks the key, which proves nothing about the envelope, and
        Unreadable if the envelope does not open with its key. Both are logged as errors.
        """
        try:
            key = self._keyring.key(KeyPurpose.SEAL, sealed.ring_key_id)
        except UnknownKey:
            self._note_failure("key_missing")
            raise
        try:
            return _opened(key, sealed.envelope, purpose, address)
        except Unreadable:
            self._note_failure("unreadable")
            log.error(
                "secret does not open",
                purpose=purpose.value,
                tenant=address.tenant_id,
                profile=address.profile_key,
                platform=address.platform,
                key_id=key.key_id,
            )
            raise


def _opened(key: Key, envelope: bytes, purpose: Purpose, address: SecretAddress) -> str:
    format_ = envelope[0] if envelope else 0
    start = 1 + SALT_BYTES.get(format_, 0)
    end = start + NONCE_BYTES + WRAPPED_BYTES
    if format_ not in SALT_BYTES or len(envelope) < end + NONCE_BYTES + TAG_BYTES:
        raise Unreadable
    wrap_nonce, wrapped = envelope[start : start + NONCE_BYTES], envelope[start + NONCE_BYTES : end]
    nonce, ciphertext = envelope[end : end + NONCE_BYTES], envelope[end + NONCE_BYTES :]
    aad = _associated_data(format_, key.key_id, purpose, address)
    try:
        wrapping = AESGCM(_wrapping_key(key.secret, envelope[1:start]))
        data_key = wrapping.decrypt(wrap_nonce, wrapped, aad)
        return AESGCM(data_key).decrypt(nonce, ciphertext, aad).decode()
    except (InvalidTag, UnicodeDecodeError):
        raise Unreadable from None


def _wrapping_key(secret: bytes, salt: bytes) -> bytes:
    """Return the wrapping key of an envelope.

    In format 2 it is HKDF-Expand of *secret* to 32 bytes (its first block), with a label and *salt*
    as info; in format 1, which has no salt, it is *secret* itself.
    """
    return hmac.digest(secret, WRAPPING_LABEL + salt + b"\x01", "sha256") if salt else secret


def _associated_data(format_: int, key_id: str, purpose: Purpose, address: SecretAddress) -> bytes:
    parts = (
        str(format_),
        key_id,
        address.tenant_id,
        address.profile_key,
        address.platform,
        address.account_id,
        address.origin,
        str(address.generation),
        purpose.value,
    )
    return length_prefixed([part.encode() for part in parts])


def length_prefixed(parts: Iterable[bytes]) -> bytes:
    """Join *parts* so that no two different lists give the same bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])
