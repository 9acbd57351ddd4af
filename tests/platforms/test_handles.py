"""Handles and DIDs: their shapes, and nothing that only looks like one."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.platforms.bluesky.handles import (
    RESERVED_TLDS,
    is_did,
    is_handle,
    tidy_handle,
    web_host,
)

HANDLES = (
    "alice.example.com",
    "a.b",
    "a.co",
    "1.com",
    "0.0.com",
    "127.0.0.1.com",
    "8.b8",
    "xn--ls8h.la",
    "xn--bcher-kva.tld",
    "a--b.c--d",
    f"{'a' * 63}.{'b' * 63}",
    f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
    "com.com",
    "local.example.com",
    "test.test.com",
    "alice.tests",
    "alice.localhosts",
)
NO_HANDLES = (
    "",
    ".",
    "alice",
    "alice.",
    ".alice.com",
    "alice..com",
    "alice.com.",
    "@alice.com",
    "at://alice.com",
    "-alice.com",
    "alice-.com",
    "alice.-com",
    "alice.com-",
    "alice.c_m",
    "al_ice.com",
    "al ice.com",
    "alice.com ",
    "alice.com\n",
    "\nalice.com",
    "alice.com\0",
    "al\0ice.com",
    "Alice.com",
    "alice.COM",
    "alice.1",
    "alice.0a",
    "127.0.0.1",
    "0x7f.0.0.0x1",
    "::1",
    "alice.com:443",
    "alice.com/path",
    "alice@example.com",
    "did:plc:aaaabbbbccccddddeeeeffff",
    "alicé.com",
    "al\u212aice.com",
    "ａlice.com",
    "alice。com",
    "аlice.com",
    "alice.со",
    "al\u200bice.com",
    "al\u202eice.com",
    "al\u00adice.com",
    "alice\ud800.com",
    "٣.com",
    f"{'a' * 64}.com",
    f"alice.{'a' * 64}",
    f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}",
    *(f"alice.{ending}" for ending in sorted(RESERVED_TLDS)),
    "a.b.c.onion",
)


@pytest.mark.parametrize("text", HANDLES)
def test_what_is_a_handle(text: str) -> None:
    """Two or more labels of letters, digits and inner hyphens, the last beginning with a letter."""
    assert is_handle(text)


@pytest.mark.parametrize("text", NO_HANDLES)
def test_what_is_no_handle(text: str) -> None:
    """Everything else, such as top-level domains that never resolve."""
    assert not is_handle(text)
    assert not is_handle(text, test_names=True)


def test_test_handles_are_for_development() -> None:
    """`.test` is a handle only where it can be resolved."""
    assert not is_handle("alice.test")
    assert is_handle("alice.test", test_names=True)


def by_the_letter(text: str) -> bool:
    """The rule of the specification, spelled out without a pattern."""
    labels = text.split(".")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    return (
        len(text) <= 253
        and len(labels) >= 2
        and all(1 <= len(label) <= 63 and set(label) <= allowed for label in labels)
        and not any(label[0] == "-" or label[-1] == "-" for label in labels)
        and labels[-1][0] not in "0123456789"
        and labels[-1] not in RESERVED_TLDS | {"test"}
    )


LABELS = st.text("abyz059-", min_size=1, max_size=66) | st.sampled_from(["com", "test", "arpa"])
LABEL = r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?"
NEARLY = st.lists(LABELS, min_size=1, max_size=6).map(".".join)


HANDLES_OF_ALL_KINDS = st.builds(
    lambda labels, last: ".".join([*labels, last]),
    st.lists(st.from_regex(LABEL, fullmatch=True, alphabet="abyz059-"), min_size=1, max_size=4),
    st.sampled_from(["com", "c0m", "x--y", "xn--p1ai", "q", "a" * 63]),
)


@settings(deadline=None)
@given(HANDLES_OF_ALL_KINDS)
def test_handles_of_all_kinds_are_handles(text: str) -> None:
    """With any labels."""
    assert by_the_letter(text)
    assert is_handle(text)


@settings(deadline=None)
@given(NEARLY | st.text("aZ9-._@:/ \n\0éｋ\u212a\u202a", max_size=12) | st.text(max_size=12))
@example("a." * 126 + "a")
@example("a." * 127 + "a")
def test_handles_are_what_the_specification_says(text: str) -> None:
    """Its rule, written twice, comes to the same for any text."""
    assert is_handle(text) == by_the_letter(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000,
        "a." * 5_000,
        "a-" * 5_000,
        "-" * 10_000,
        "." * 10_000,
        " " * 10_000 + "x",
        "\u202a" * 10_000,
        "@" * 10_000,
        "at://" * 2_000,
        "https://bsky.app/profile/" * 400,
        "https://bsky.app/profile/" + "a" * 10_000,
        "https://bsky.app/profile/a/" + "/" * 10_000 + "\n",
        "www." * 2_500,
        "\0" * 10_000,
        "\ud800" * 10_000,
        "a" * 253 + "\n" * 10_000,
        "did:web:" + "a." * 5_000,
        "did:plc:" + "a" * 10_000,
        ("a" * 62 + "-.") * 160,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_long_texts_are_refused_at_once(text: str) -> None:
    """No pattern takes more than time in proportion."""
    started = time.thread_time()
    assert not is_handle(tidy_handle(text), test_names=True)
    assert not is_did(text)
    assert time.thread_time() - started < 1


PLC = "did:plc:aaaabbbbccccddddeeee2345"


@pytest.mark.parametrize("text", [PLC, "did:web:example.com", "did:web:a.b-c.x9"])
def test_what_is_a_did(text: str) -> None:
    """Of the two methods that the AT Protocol allows."""
    assert is_did(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did",
        "did:",
        "did:plc:",
        "did:web:",
        PLC.upper(),
        PLC[:-1],
        PLC + "a",
        PLC + "\n",
        PLC[:-1] + "1",
        PLC[:-1] + "é",
        " " + PLC,
        PLC + "#atproto",
        PLC + "?x",
        "DID:web:example.com",
        "did:WEB:example.com",
        "did:web:Example.com",
        "did:web:example",
        "did:web:example.com\n",
        "did:web:example.com:alice",
        "did:web:example.com%3A80",
        "did:web:127.0.0.1",
        "did:web:exa_mple.com",
        f"did:web:{'a.' * 126}aaa",
        "did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N",
        "did:method:val",
        "example.com",
    ],
)
def test_what_is_no_did(text: str) -> None:
    """Other methods, other alphabets, paths, ports and escapes."""
    assert not is_did(text)


def test_a_web_did_gives_its_host() -> None:
    """And no other DID gives any."""
    assert web_host("did:web:id.example.com") == "id.example.com"
    assert web_host(PLC) is None
    assert web_host("did:web:id.example.com:alice") is None
