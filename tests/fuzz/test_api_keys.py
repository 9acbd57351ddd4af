"""API keys: only those that were minted pass, and what is none is seldom looked for."""

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

from .target import ANYTHING, EDITS, SEEDS, Read, Target, own, text_of, told


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    create_keyring(folder / "keyring.json", new_keys("test"))
    keys = Keys()
    access = ApiKeys(cast("ApiKeyStore", keys), Keyring(folder / "keyring.json"), SystemClock())
    plain, kept = access.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.stored[kept.key_id] = kept
    with asyncio.Runner() as runner:

        def read(data: bytes) -> None:
            for text in (text_of(told(data, plain.encode())), _sealed(data, plain)):
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
    """What is told of *plain*, under a checksum that fits."""
    body = text_of(told(data, plain[:-6].encode()))
    return body + _checksum(body.encode("utf-8", "replace").decode())


TARGET = Target(opened, (*SEEDS, b"\0pc_live_" + b"a" * 16 + b"_" + b"0" * 49))

LIKE = own(st.from_regex(SHAPE, fullmatch=True).map(str.encode))


@settings(deadline=None, max_examples=300)
@given(EDITS | LIKE | ANYTHING)
def test_any_text(read: Read, data: bytes) -> None:
    """An edit of a minted key is refused, without a look at the store where the checksum is wrong,
    and after one where it was made to fit."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """What the fuzzer begins with keeps the promise."""
    read(seed)
