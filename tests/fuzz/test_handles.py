"""Handles, DIDs and app passwords: any text is either accepted or rejected with one error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from atproto_client.models.string_formats import DID_RE, is_valid_handle
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.clock import SystemClock
from service.domain.errors import InvalidCredentials
from service.domain.model import Credentials
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.bluesky.handles import (
    RESERVED_TLDS,
    is_did,
    is_handle,
    tidy_handle,
    web_host,
)
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress
from service.platforms.egress.origin import Origin
from service.runtime.tasks import OwnedTasks

from .target import Read, Target, text_of

PASSWORD = "abcd-2345-wxyz-q7q7"


@contextmanager
def opened(_: Path) -> Iterator[Read]:
    # normalization makes no outbound calls
    outside = EgressContext(
        cast("Egress", None),
        Resolver(),
        SystemClock(),
        Origin.parse("https://plc.example"),
        None,
        frozenset(),
        OwnedTasks().spawn,
    )
    platform = BlueskyPlatform(outside)
    causes: dict[str, str] = {}

    def cause(handle: str, app_password: str) -> str:
        try:
            tidied = platform.tidy(Credentials(handle=handle, appPassword=app_password))
        except InvalidCredentials as refusal:
            # equal for all inputs, so it holds nothing of what was typed
            return causes.setdefault(repr(vars(refusal)), refusal.metadata["cause"])
        # normalization is idempotent
        assert platform.tidy(tidied) == tidied
        return ""

    def read(data: bytes) -> None:
        text = text_of(data)
        handle = tidy_handle(text)
        good = is_handle(handle)
        assert cause(text, PASSWORD) == ("" if good else "MALFORMED_HANDLE")
        if good:
            assert tidy_handle(handle) == handle
        for found in (handle, text):
            # our rule is the SDK's in lower case, without unresolvable endings and without the
            # final line break that the SDK's pattern accepts
            by_the_sdk = is_valid_handle(found) and found == found.lower().strip()
            ending = found.rpartition(".")[2]
            assert is_handle(found, test_names=True) == (by_the_sdk and ending not in RESERVED_TLDS)
        assert is_did(text) <= bool(DID_RE.match(text))
        host = web_host(text)
        assert host is None or (text == f"did:web:{host}" and is_valid_handle(host))
        if text.strip():
            kept = text.strip()
            shaped = len(kept) == 19 and kept.isascii() and kept[4::5] == "---"
            assert cause("alice.example.com", text) in (
                ("", "MALFORMED_APP_PASSWORD") if shaped else ("MALFORMED_APP_PASSWORD",)
            )
        assert len(causes) <= 2

    yield read


TARGET = Target(
    opened,
    (
        b"alice.bsky.social",
        b" @Alice.Example.com ",
        b"at://alice.test",
        b"https://bsky.app/profile/alice.bsky.social",
        b"did:plc:aaaabbbbccccddddeeee2345",
        b"did:web:example.com",
        b"abcd-2345-wxyz-q7q7",
    ),
)

PARTS = st.sampled_from(
    (
        *(
            "a",
            "alice",
            "xn--ls8h",
            "com",
            "test",
            "onion",
            "a" * 63,
            "a" * 64,
            "-",
            ".",
            "..",
            "_",
        ),
        *("@", "at://", "https://bsky.app/profile/", "did:web:", "did:plc:", "/", ":", "%3A", "?"),
        *(" ", "\t", "\n", "\0", "\u200b", "\u202e", "\u212a", "\ud800", "\u3002", "A", "Ω"),
        *("abcd-", "2345-", "WXYZ-", "q7q7", "aaaabbbbccccddddeeee2345"),
    )
)
LIKE = st.lists(PARTS | st.text(max_size=4), max_size=12).map("".join)


@settings(deadline=None, max_examples=300)
@given(LIKE.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary())
@example(b"a_b.com")
@example(b"@@alice.com")
@example(b"\xed\xa0\x80")
def test_any_text(read: Read, data: bytes) -> None:
    """A handle is normalized as by the SDK or rejected; a DID is valid or None.

    So is an app password, which no error contains.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
