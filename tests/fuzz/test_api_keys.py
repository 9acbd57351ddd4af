"""API keys: only issued ones pass, and malformed ones are rarely looked up."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.access.api_keys import SHAPE, ApiKeys, _checksum
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.errors import InvalidApiKey, MissingApiKey
from service.domain.model import DEFAULT_SCOPES
from service.domain.store import ApiKeyStore
from tests.access.test_api_keys import Keys

from .target import ANYTHING, EDITS, SEEDS, Read, Target, derived, own, text_of


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    create_keyring(folder / "keyring.json", new_keys("test"))
    keys = Keys()
    access = ApiKeys(cast("ApiKeyStore", keys), Keyring(folder / "keyring.json"), SystemClock())
    plain, kept = access.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.stored[kept.key_id] = kept
    with asyncio.Runner() as runner:

        def read(data: bytes) -> None:
            for text in (text_of(derived(data, plain.encode())), _sealed(data, plain)):
                before = keys.reads
                try:
                    found = runner.run(access.check(text, within=0))
                except (InvalidApiKey, MissingApiKey) as refusal:
                    assert isinstance(refusal, MissingApiKey) == (text == "")
                    assert text != plain
                    ours = SHAPE.fullmatch(text) and _checksum(text[:-6]) == text[-6:]
                    assert keys.reads == before + bool(ours)
                else:
                    assert (text, found) == (plain, kept)

        yield read


def _sealed(data: bytes, plain: str) -> str:
    """Return a key derived from *plain*, with a valid checksum."""
    body = text_of(derived(data, plain[:-6].encode()))
    return body + _checksum(body.encode("utf-8", "replace").decode())


TARGET = Target(opened, (*SEEDS, b"\0pc_live_" + b"a" * 16 + b"_" + b"0" * 49))

LIKE = own(st.from_regex(SHAPE, fullmatch=True).map(str.encode))


@settings(deadline=None, max_examples=300)
@given(EDITS | LIKE | ANYTHING)
def test_any_text(read: Read, data: bytes) -> None:
    """An edited key is rejected: without a look-up if its checksum is wrong, and after one
    otherwise."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
