"""Page tokens, cursors and fingerprints: valid in their own context, else InvalidToken."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.crypto.keyring import KeyPurpose, Keyring, UnknownKey, create_keyring, new_keys
from service.crypto.tokens import MAX_TOKEN_CHARS, InvalidToken, Tokens
from service.domain.model import Place
from service.domain.records import Fingerprint

from .target import ANYTHING, EDITS, SEEDS, Read, Target, derived, own, text_of

PLACE = Place(1_800_000_000_000_000, "prof_abc123")
NUMBER = 7
BOUND = (("ten_a", "ListProfiles", "True"), ("ten_a", "ListProfiles", "False"), ("ten_b",), ())


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    create_keyring(folder / "keyring.json", new_keys("test"))
    keyring = Keyring(folder / "keyring.json")
    tokens = Tokens(keyring)
    minted: dict[tuple[Callable[..., object], tuple[str, ...]], tuple[str, object]] = {}
    for bound in BOUND:
        minted[tokens.place, bound] = tokens.page(PLACE, *bound), PLACE
        minted[tokens.number, bound] = tokens.cursor(NUMBER, *bound), NUMBER
    fingerprint = tokens.fingerprint(["a", "", "b"])

    def read(data: bytes) -> None:
        for whole, _ in minted.values():
            text = text_of(derived(data, whole.encode()))
            for (reads, bound), (right, written) in minted.items():
                try:
                    found = reads(text, *bound)
                except InvalidToken:
                    assert text != right
                else:
                    assert (text, found) == (right, written)
        digest = derived(data, fingerprint.digest)
        same = Fingerprint(fingerprint.ring_key_id, digest)
        assert tokens.matches(same, ["a", "", "b"]) == (digest == fingerprint.digest)
        assert not tokens.matches(same, ["a", "b", ""])
        name = text_of(derived(data, fingerprint.ring_key_id.encode()))
        if keyring.find(KeyPurpose.TOKEN, name) is None:
            with pytest.raises(UnknownKey):
                tokens.matches(Fingerprint(name, digest), [])

    yield read


TARGET = Target(opened, (*SEEDS, b"\0AQ", b"\0" + b"A" * (MAX_TOKEN_CHARS + 1), b"\0AQ==", b"\0AR"))

LIKE = own(
    st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(b"\1" + raw).rstrip(b"="))
)


@settings(deadline=None)
@given(EDITS | LIKE | ANYTHING)
def test_any_text(read: Read, data: bytes) -> None:
    """A token that is edited, cut, or of another version, tenant, list or use is InvalidToken.

    This holds for every reader, and nothing else is raised. A request's fingerprint fits only that
    request.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)


@given(st.integers(0, 2**63 - 1), st.from_regex(r"prof_[a-z0-9]{1,64}", fullmatch=True))
def test_a_place_round_trips(
    tmp_path_factory: pytest.TempPathFactory, created_at: int, profile_key: str
) -> None:
    """Any place round-trips through a token of plain ASCII within the length limit."""
    folder = tmp_path_factory.getbasetemp()
    if not (folder / "places.json").exists():
        create_keyring(folder / "places.json", new_keys("test"))
    tokens = Tokens(Keyring(folder / "places.json"))
    token = tokens.page(Place(created_at, profile_key), "ten_a")
    assert token.isascii()
    assert tokens.place(token, "ten_a") == Place(created_at, profile_key)
