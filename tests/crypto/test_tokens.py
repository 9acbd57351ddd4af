"""Tokens for pages and cursors: only this service can make them, each for one use."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.crypto.tokens import InvalidToken, Tokens
from service.domain.model import Place

NUMBERS = st.integers(0, 2**63 - 1)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return tokens_of(tmp_path_factory.mktemp("keyring") / "keyring.json")


def tokens_of(keyring: Path) -> Tokens:
    create_keyring(keyring, new_keys("test"))
    return Tokens(Keyring(keyring))


@given(NUMBERS, st.text(), st.text())
def test_a_cursor_holds_its_number(tokens: Tokens, number: int, a: str, b: str) -> None:
    """It is ASCII, and bound to the texts that it was made for, their order and their limits."""
    cursor = tokens.cursor(number, a, b)
    assert cursor.isascii()
    assert tokens.number(cursor, a, b) == number
    for other in ((b + "x", a), (a + b,), (a, b, ""), (), (a + b, "")):
        if other != (a, b):
            with pytest.raises(InvalidToken):
                tokens.number(cursor, *other)


@given(NUMBERS, st.data())
def test_a_changed_cursor_is_rejected(tokens: Tokens, number: int, data: st.DataObject) -> None:
    """It may not be cut, nor any letter changed, including unused bits of the last one."""
    cursor = tokens.cursor(number, "ten_a")
    at = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.characters(codec="utf-8"))
    wrong = [cursor[:at], cursor[:at] + letter + cursor[at + 1 :], cursor + letter, letter + cursor]
    for text in wrong:
        if text != cursor:
            with pytest.raises(InvalidToken):
                tokens.number(text, "ten_a")


@given(st.text())
def test_no_other_text_is_a_token(tokens: Tokens, text: str) -> None:
    """Every other text is InvalidToken, and causes no other exception."""
    for read in (tokens.number, tokens.place):
        with pytest.raises(InvalidToken):
            read(text, "ten_a")


def test_a_token_is_valid_only_for_its_use_and_keyring(tokens: Tokens, tmp_path: Path) -> None:
    """A page token is no cursor and a cursor no page token; another keyring reads neither."""
    page, cursor = tokens.page(Place(1, ""), "ten_a"), tokens.cursor(1, "ten_a")
    with pytest.raises(InvalidToken):
        tokens.number(page, "ten_a")
    with pytest.raises(InvalidToken):
        tokens.place(cursor, "ten_a")
    with pytest.raises(InvalidToken):
        tokens_of(tmp_path / "other.json").number(cursor, "ten_a")
    assert tokens.place(page, "ten_a") == Place(1, "")
