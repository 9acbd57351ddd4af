"""The vault: an envelope opens only at its own address and with its own keyring."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from service.crypto.keyring import (
    Key,
    KeyPurpose,
    Keyring,
    KeyState,
    UnknownKey,
    Wrap,
    create_keyring,
    new_keys,
)
from service.crypto.vault import Unreadable, Vault, length_prefixed
from service.domain.model import Session
from service.domain.records import Envelope, Purpose, SecretAddress, SessionEnvelope

ADDRESS = SecretAddress("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 7)


# sealed by released programs with the key 00 01 02 … 1f: they must always open
GOLDEN = {
    Wrap.DIRECT: (
        "01e641ae8570a231188411d1d0499dded44266893fa6cf5c217883d60d6241bf258c81a604052e19528ad15c17"
        "4ad5de65796c2fa596ba99393b86f18280af1e4ca0e093e6a5bb7f3ed843077f5c5dc881cae286ad4cafa2f21a"
        "f3ee134be2896f110a35e0131d80d8d19c86"
    ),
    Wrap.DERIVED: (
        "0254b696f77344fb72cdf5a760f6a47f252e4b828c96705814a1f5fba18b929c9ec506ff34eac50580f2b6a694"
        "a93f9e98f8c48da08779d7c83762cc1a45d358561e0fc97221972fecb93e5864f1cb8efe5c9f0838ca93c24649"
        "ac3c8b1aa0a304cc7d1b6a602abfcee1465226f9e0d5dd9acfdab55d601986588468"
    ),
}
GOLDEN_KEY = Key(
    "seal-golden", KeyPurpose.SEAL, KeyState.ACTIVE, "test", "test", bytes(range(32)), Wrap.DERIVED
)


def keyring_of(path: Path, *keys: Key) -> Keyring:
    """Make a keyring of *keys*, and of new keys for the other purposes."""
    other = [key for key in new_keys("test") if key.purpose is not KeyPurpose.SEAL]
    create_keyring(path, [*keys, *other])
    return Keyring(path)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    path = tmp_path_factory.mktemp("keyring") / "keyring.json"
    create_keyring(path, new_keys("test"))
    return Keyring(path)


@pytest.fixture(scope="module")
def vault(keyring: Keyring) -> Vault:
    return Vault(keyring)


@given(secret=st.text())
def test_any_text_opens_unchanged(vault: Vault, secret: str) -> None:
    """Examples: the empty text, NUL, emoji."""
    if not secret.isascii():
        try:
            secret.encode()
        except UnicodeEncodeError:
            return  # decoded messages hold no unpaired surrogates
    sealed = vault.seal(secret, Purpose.CREDENTIAL, ADDRESS)
    assert vault.open(sealed, Purpose.CREDENTIAL, ADDRESS) == secret


def test_the_same_secret_twice_gives_different_envelopes(vault: Vault) -> None:
    """Envelopes do not reveal that two passwords are equal."""
    one, two = (vault.seal("abcd-efgh-ijkl-mnop", Purpose.CREDENTIAL, ADDRESS) for _ in range(2))
    assert one.envelope[1:] != two.envelope[1:]
    assert b"abcd" not in one.envelope


def test_a_session_of_a_newer_version_opens(vault: Vault) -> None:
    """One that holds more than this version knows."""
    sealed = vault.seal('["access", "refresh", 9, "later"]', Purpose.SESSION, ADDRESS)
    assert vault.open_session(SessionEnvelope(ADDRESS, sealed)) == Session("access", "refresh", 9)


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant_id": "ten_b"},
        {"profile_key": "prof_b"},
        {"platform": "toy"},
        {"account_id": "did:plc:b"},
        {"origin": "https://b.example"},
        {"generation": 8},
        {"tenant_id": "ten_aprof_a", "profile_key": ""},
    ],
)
def test_an_envelope_does_not_open_at_another_address(
    vault: Vault, changed: dict[str, object]
) -> None:
    """It is bound to each of these plain columns."""
    sealed = vault.seal("secret", Purpose.CREDENTIAL, ADDRESS)
    with pytest.raises(Unreadable):
        vault.open(sealed, Purpose.CREDENTIAL, ADDRESS._replace(**changed))  # type: ignore[arg-type]


def test_an_envelope_for_another_purpose_does_not_open(vault: Vault) -> None:
    """A sealed password cannot be used as a session."""
    sealed = vault.seal("secret", Purpose.CREDENTIAL, ADDRESS)
    with pytest.raises(Unreadable):
        vault.open(sealed, Purpose.SESSION, ADDRESS)


@pytest.mark.parametrize("wrap", Wrap)
@pytest.mark.parametrize("envelope", GOLDEN.values(), ids=GOLDEN)
def test_envelopes_of_former_programs_open(tmp_path: Path, wrap: Wrap, envelope: str) -> None:
    """Both formats open with a key of either kind."""
    vault = Vault(keyring_of(tmp_path / "keyring.json", replace(GOLDEN_KEY, wrap=wrap)))
    sealed = Envelope("seal-golden", bytes.fromhex(envelope))
    assert vault.open(sealed, Purpose.CREDENTIAL, ADDRESS) == "abcd-efgh-ijkl-mnop"
    with pytest.raises(Unreadable):
        vault.open(sealed, Purpose.CREDENTIAL, ADDRESS._replace(generation=8))


def test_an_envelope_has_a_wrapping_key_of_its_own() -> None:
    """It is HKDF-Expand of the keyring's key, with a label and the salt as info, as another library
    computes it."""
    envelope = bytes.fromhex(GOLDEN[Wrap.DERIVED])
    salt, nonce, wrapped = envelope[1:17], envelope[17:29], envelope[29:77]
    assert (envelope[0], len(envelope)) == (2, 1 + 16 + 12 + 48 + 12 + 19 + 16)
    info = b"postcore wrapping key" + salt
    wrapping = HKDFExpand(SHA256(), 32, info).derive(GOLDEN_KEY.secret)
    parts = ["2", "seal-golden", *map(str, ADDRESS), "credential"]
    address = length_prefixed(part.encode() for part in parts)
    data_key = AESGCM(wrapping).decrypt(nonce, wrapped, address)
    secret = AESGCM(data_key).decrypt(envelope[77:89], envelope[89:], address)
    assert secret == b"abcd-efgh-ijkl-mnop"


def test_no_two_envelopes_share_a_salt(vault: Vault) -> None:
    """The salt is 16 random bytes."""
    sealed = [vault.seal("secret", Purpose.CREDENTIAL, ADDRESS).envelope for _ in range(100)]
    assert {envelope[0] for envelope in sealed} == {2}
    assert len({envelope[1:17] for envelope in sealed}) == 100


def test_a_key_of_a_former_program_seals_in_format_1(tmp_path: Path) -> None:
    """Processes of the former program, running beside this one, can open its envelopes."""
    key = replace(GOLDEN_KEY, wrap=Wrap.DIRECT)
    vault = Vault(keyring_of(tmp_path / "keyring.json", key))
    sealed = vault.seal("abcd-efgh-ijkl-mnop", Purpose.CREDENTIAL, ADDRESS)
    assert sealed.envelope[0] == 1
    assert len(sealed.envelope) == len(GOLDEN[Wrap.DIRECT]) // 2
    assert vault.open(sealed, Purpose.CREDENTIAL, ADDRESS) == "abcd-efgh-ijkl-mnop"


@pytest.mark.parametrize("wrap", Wrap)
def test_a_changed_envelope_does_not_open(tmp_path: Path, wrap: Wrap) -> None:
    """No byte may be flipped, cut or added."""
    vault = Vault(keyring_of(tmp_path / "keyring.json", replace(GOLDEN_KEY, wrap=wrap)))
    sealed = vault.seal("secret", Purpose.CREDENTIAL, ADDRESS)
    envelope = sealed.envelope
    wrong = [envelope[:length] for length in range(len(envelope))] + [envelope + b"\0"]
    for index in range(len(envelope)):
        for bit in (1, 128):
            flipped = bytearray(envelope)
            flipped[index] ^= bit
            wrong.append(bytes(flipped))
    for changed in wrong:
        with pytest.raises(Unreadable):
            vault.open(Envelope(sealed.ring_key_id, changed), Purpose.CREDENTIAL, ADDRESS)


def test_a_missing_key_is_no_proof_of_damage(vault: Vault, tmp_path: Path) -> None:
    """It raises UnknownKey, not Unreadable: the envelope may be intact."""
    create_keyring(tmp_path / "other.json", new_keys("test"))
    sealed = vault.seal("secret", Purpose.CREDENTIAL, ADDRESS)
    with pytest.raises(UnknownKey):
        Vault(Keyring(tmp_path / "other.json")).open(sealed, Purpose.CREDENTIAL, ADDRESS)


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_different_lists_have_different_length_prefixed_bytes(
    one: list[bytes], two: list[bytes]
) -> None:
    """Equal bytes mean equal lists."""
    assert (length_prefixed(one) == length_prefixed(two)) == (one == two)


def test_reprs_show_no_secret(keyring: Keyring, vault: Vault) -> None:
    """Reprs of keys and envelopes hide their secrets."""
    for key in new_keys("test"):
        assert repr(key.secret) not in repr(key)
    assert "envelope" not in repr(vault.seal("secret", Purpose.CREDENTIAL, ADDRESS))
