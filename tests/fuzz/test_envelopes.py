"""Envelopes: they open unmodified in their place; otherwise Unreadable, or UnknownKey for an
unknown key."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings

from service.crypto.keyring import KeyPurpose, Keyring, UnknownKey, create_keyring, new_keys
from service.crypto.vault import Unreadable, Vault
from service.domain.model import Session
from service.domain.records import Envelope, Purpose, SecretAddress, SessionEnvelope

from .target import ANYTHING, EDITS, SEEDS, Read, Target, derived

ADDRESS = SecretAddress("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 7)
TEXTS = ("tenant_id", "profile_key", "platform", "account_id", "origin")
SESSION = Session("access", "refresh", 1)


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    create_keyring(folder / "keyring.json", new_keys("test"))
    keyring = Keyring(folder / "keyring.json")
    vault = Vault(keyring)
    sealed = vault.seal_session(SESSION, ADDRESS)
    others = (
        vault.seal("secret", Purpose.CREDENTIAL, ADDRESS).envelope,
        vault.seal_session(SESSION, ADDRESS._replace(generation=8)).envelope,
    )

    def opens(key_id: str, envelope: bytes, address: SecretAddress) -> None:
        stored = SessionEnvelope(address, Envelope(key_id, envelope))
        right = envelope == sealed.envelope and address == ADDRESS
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
            opens(sealed.ring_key_id, derived(data, whole), ADDRESS)
        # database text, which cannot hold lone surrogates
        opens(
            derived(data, sealed.ring_key_id.encode()).decode(errors="replace"),
            sealed.envelope,
            ADDRESS,
        )
        for name in TEXTS:
            text = derived(data, getattr(ADDRESS, name).encode()).decode(errors="replace")
            opens(sealed.ring_key_id, sealed.envelope, ADDRESS._replace(**{name: text}))  # type: ignore[arg-type]

    yield read


TARGET = Target(opened, (*SEEDS, b"\0" + bytes(200)))


@settings(deadline=None)
@given(EDITS | ANYTHING)
def test_any_bytes(read: Read, data: bytes) -> None:
    """An edited envelope, key id or bound column does not open, and raises nothing else."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
