"""Connect links: any token, any form, any way back, any list of languages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given, settings

from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.crypto.tokens import InvalidToken, Tokens
from service.domain.errors import InvalidRequest
from service.domain.links import origin_of, registered_origin
from service.transport.page.form import MAX_FIELDS, parsed
from service.transport.page.words import LANGUAGES, words_for

from .target import ANYTHING, EDITS, SEEDS, Read, Target, derived, text_of

LINK_ID = "link_abcdefghijklmnopqrstuv"
FORM = urlencode({"platform": "bluesky", "handle": "@é", "appPassword": "a b&c=d"}).encode()
BACK = b"https://app.example.com:8443/done?a=b"


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    create_keyring(folder / "keyring.json", new_keys("test"))
    tokens = Tokens(Keyring(folder / "keyring.json"))
    token, secret = tokens.link(LINK_ID)

    def read(data: bytes) -> None:
        text = text_of(derived(data, token.encode()))
        try:
            assert tokens.link_digest(text) == secret.digest
        except InvalidToken:
            assert text != token
        else:
            assert text == token
        _form(derived(data, FORM))
        _form(derived(data, b""))
        _way_back(text_of(derived(data, BACK)))
        _way_back(text_of(derived(data, b"")))
        header = derived(data, b"es;q=0.5, de").decode("latin-1")
        assert words_for("", header).lang in LANGUAGES

    yield read


def _form(body: bytes) -> None:
    """A form is read in whole, or refused with InvalidRequest; whatever is in it, by one rule."""
    try:
        fields = parsed(body)
    except InvalidRequest:
        return
    assert len(fields) <= MAX_FIELDS
    for name, value in fields.items():
        for text in (name, value):
            text.encode()  # no half of a surrogate pair, which a database rejects


def _way_back(url: str) -> None:
    """A URL that is accepted leads, as a browser reads it, to the origin that was found in it."""
    try:
        origin = origin_of(url)
    except ValueError:
        return
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set("\\ <>\"'`#") - {"'"}
    split = urlsplit(url)
    assert split.username is None
    assert split.scheme in ("https", "http")
    host = f"[{split.hostname}]" if ":" in (split.hostname or "") else split.hostname
    usual = {"https": 443, "http": 80}[split.scheme]
    port = "" if split.port in (None, usual) else f":{split.port}"
    assert f"{split.scheme}://{host}{port}" == origin == registered_origin(origin)


TARGET = Target(
    opened,
    (*SEEDS, b"\0AQ", b"\0" + FORM, b"\0" + BACK, b"\0a=1&a=2", b"\0%ff=%ff", b"\0http://[::1]:80"),
)


@settings(deadline=None)
@given(EDITS | ANYTHING)
def test_any_text(read: Read, data: bytes) -> None:
    """A token that is edited is InvalidToken; a form is read or InvalidRequest; a way back leads to
    the origin that was checked. Nothing else is raised."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
