"""Envelopes: whole and in their place, or Unreadable; under a key of the keyring, or UnknownKey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings

from service.crypto.keyring import KeyPurpose, Keyring, UnknownKey, create_keyring, new_keys
from service.crypto.vault import Unreadable, Vault
from service.domain.model import Session
from service.domain.records import Envelope, Purpose, SecretAddress, SessionEnvelope

from .target import ANYTHING, EDITS, SEEDS, Read, Target, told

PLACE = SecretAddress("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 7)
TEXTS = ("tenant_id", "profile_key", "platform", "account_id", "origin")
SESSION = Session("access", "refresh", 1)


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    create_keyring(folder / "keyring.json", new_keys("test"))
    keyring = Keyring(folder / "keyring.json")
    vault = Vault(keyring)
    sealed = vault.seal_session(SESSION, PLACE)
    others = (
        vault.seal("secret", Purpose.CREDENTIAL, PLACE).envelope,
        vault.seal_session(SESSION, PLACE._replace(generation=8)).envelope,
    )

    def opens(key_id: str, envelope: bytes, place: SecretAddress) -> None:
        stored = SessionEnvelope(place, Envelope(key_id, envelope))
        right = envelope == sealed.envelope and place == PLACE
        try:
            found = vault.open_session(stored)
        except UnknownKey:
            assert keyring.find(KeyPurpose.SEAL, key_id) is None
        except Unreadable:
            assert keyring.find(KeyPurpose.SEAL, key_id) is not None
            assert not (right and key_id == sealed.ring_key_id)
        else:
            assert (right, key_id, found) == (True, sealed.ring_key_id, SESSION)

    def read(data: bytes) -> None:
        for whole in (sealed.envelope, *others):
            opens(sealed.ring_key_id, told(data, whole), PLACE)
        # of a database, which holds no lone surrogates
        opens(
            told(data, sealed.ring_key_id.encode()).decode(errors="replace"), sealed.envelope, PLACE
        )
        for name in TEXTS:
            text = told(data, getattr(PLACE, name).encode()).decode(errors="replace")
            opens(sealed.ring_key_id, sealed.envelope, PLACE._replace(**{name: text}))  # type: ignore[arg-type]

    yield read


TARGET = Target(opened, (*SEEDS, b"\0" + bytes(200)))


@settings(deadline=None)
@given(EDITS | ANYTHING)
def test_any_bytes(read: Read, data: bytes) -> None:
    """An envelope, the key it names, or a column that it is bound to, edited in any way: it does
    not open, and nothing else is raised."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """What the fuzzer begins with keeps the promise."""
    read(seed)
