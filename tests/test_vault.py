"""The vault: what is sealed opens in its own place, with its own ring, and nowhere else."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.records import Purpose, SealContext, Sealed
from service.ring import KeyState, Ring, UnknownKey, create_ring, new_keys
from service.vault import Unreadable, Vault, length_prefixed

PLACE = SealContext("ten_a", "prof_a", "bluesky", "did:plc:a", "https://a.example", 7)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    path = tmp_path_factory.mktemp("ring") / "keyring.json"
    create_ring(path, new_keys("test"))
    return Ring(path)


@pytest.fixture(scope="module")
def vault(ring: Ring) -> Vault:
    return Vault(ring)


@given(secret=st.text())
def test_any_text_opens_as_it_was_sealed(vault: Vault, secret: str) -> None:
    """Also the empty text, NUL and emoji."""
    if not secret.isascii():
        try:
            secret.encode()
        except UnicodeEncodeError:
            return  # lone surrogates never come out of a decoded message
    sealed = vault.seal(secret, Purpose.CREDENTIAL, PLACE)
    assert vault.open(sealed, Purpose.CREDENTIAL, PLACE) == secret


def test_the_same_secret_twice_gives_different_envelopes(vault: Vault) -> None:
    """Nothing can be told from equal passwords."""
    one, two = (vault.seal("abcd-efgh-ijkl-mnop", Purpose.CREDENTIAL, PLACE) for _ in range(2))
    assert one.envelope[1:] != two.envelope[1:]
    assert b"abcd" not in one.envelope


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
def test_an_envelope_moved_to_another_place_does_not_open(
    vault: Vault, changed: dict[str, object]
) -> None:
    """Every plain column that it is bound to counts."""
    sealed = vault.seal("secret", Purpose.CREDENTIAL, PLACE)
    with pytest.raises(Unreadable):
        vault.open(sealed, Purpose.CREDENTIAL, PLACE._replace(**changed))  # type: ignore[arg-type]


def test_an_envelope_for_another_purpose_does_not_open(vault: Vault) -> None:
    """A password cannot be passed off as a session."""
    sealed = vault.seal("secret", Purpose.CREDENTIAL, PLACE)
    with pytest.raises(Unreadable):
        vault.open(sealed, Purpose.SESSION, PLACE)


def test_every_byte_counts(vault: Vault) -> None:
    """Flipped anywhere, cut anywhere, or longer: it does not open."""
    sealed = vault.seal("secret", Purpose.CREDENTIAL, PLACE)
    envelope = sealed.envelope
    wrong = [envelope[:length] for length in range(len(envelope))] + [envelope + b"\0"]
    for place in range(len(envelope)):
        for bit in (1, 128):
            flipped = bytearray(envelope)
            flipped[place] ^= bit
            wrong.append(bytes(flipped))
    for changed in wrong:
        with pytest.raises(Unreadable):
            vault.open(Sealed(sealed.ring_key_id, changed), Purpose.CREDENTIAL, PLACE)


def test_a_ring_without_the_key_proves_nothing(vault: Vault, tmp_path: Path) -> None:
    """UnknownKey, never Unreadable: the envelope may be as good as ever."""
    create_ring(tmp_path / "other.json", new_keys("test"))
    sealed = vault.seal("secret", Purpose.CREDENTIAL, PLACE)
    with pytest.raises(UnknownKey):
        Vault(Ring(tmp_path / "other.json")).open(sealed, Purpose.CREDENTIAL, PLACE)


def test_a_key_that_was_added_is_found(tmp_path: Path) -> None:
    """An unknown key id makes the ring look at its file again."""
    old, new = tmp_path / "keyring.json", tmp_path / "new.json"
    keys = new_keys("test")
    create_ring(old, keys)
    running = Ring(old)
    previous = [replace(key, state=KeyState.PREVIOUS) for key in keys]
    create_ring(new, [*previous, *new_keys("later")])
    sealed = Vault(Ring(new)).seal("secret", Purpose.CREDENTIAL, PLACE)
    new.replace(old)
    assert Vault(running).open(sealed, Purpose.CREDENTIAL, PLACE) == "secret"


def test_a_ring_that_goes_bad_leaves_the_loaded_keys_in_use(tmp_path: Path) -> None:
    """A half-written file, or one that is gone, breaks nothing that works."""
    path = tmp_path / "keyring.json"
    create_ring(path, new_keys("test"))
    ring = Ring(path)
    sealed = Vault(ring).seal("secret", Purpose.CREDENTIAL, PLACE)
    for break_it in (lambda: path.write_text("{"), path.unlink):
        break_it()
        with pytest.raises(UnknownKey):
            Vault(ring).open(Sealed("seal-unknown", sealed.envelope), Purpose.CREDENTIAL, PLACE)
        assert Vault(ring).open(sealed, Purpose.CREDENTIAL, PLACE) == "secret"


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_length_prefixed_lists_never_run_together(one: list[bytes], two: list[bytes]) -> None:
    """Different lists, different bytes."""
    assert (length_prefixed(one) == length_prefixed(two)) == (one == two)


def test_reprs_show_no_secret(ring: Ring, vault: Vault) -> None:
    """Of keys and envelopes."""
    for key in new_keys("test"):
        assert repr(key.secret) not in repr(key)
    assert "envelope" not in repr(vault.seal("secret", Purpose.CREDENTIAL, PLACE))
