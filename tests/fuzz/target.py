"""Target: a function that takes any bytes and raises if a promise about them is broken.

Hypothesis passes realistic inputs in every run of the suite; `make fuzz` passes inputs that reach
new code.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

Read = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """*opened* gets an empty folder; *seeds* are the initial inputs."""

    opened: Callable[[Path], AbstractContextManager[Read]]
    seeds: tuple[bytes, ...]


def derived(data: bytes, whole: bytes) -> bytes:
    """Return *whole* with the edits in *data* if it begins with 1, else the rest of *data*."""
    return edited(whole, data[1:]) if data[:1] == b"\1" else data[1:]


def edited(whole: bytes, edits: bytes) -> bytes:
    """Return *whole* after *edits* of four bytes each: position (2), operation, byte."""
    for start in range(0, len(edits) - 3, 4):
        at = int.from_bytes(edits[start : start + 2], "big") % (len(whole) + 1)
        byte = edits[start + 3 : start + 4]
        before, after = whole[:at], whole[at:]
        whole = (
            before + byte + after[1:],
            before + byte + after,
            before + after[1:],
            before,
            before + after[: byte[0]] + after,
        )[edits[start + 2] % 5]
    return whole


def text_of(data: bytes) -> str:
    """Return any text, including lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


BYTE = st.integers(0, 255)
EDITS = st.lists(
    st.tuples(BYTE, BYTE, st.integers(0, 4), BYTE).map(bytes), min_size=1, max_size=3
).map(lambda edits: b"\1" + b"".join(edits))


def own(data: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return *data* in the form that `derived` passes through unedited."""
    return data.map(b"\0".__add__)


ANYTHING = own(st.binary()) | own(st.text().map(lambda text: text.encode("utf-8", "replace")))
SEEDS = (b"\0", b"\1", b"\1\0\5\0a", b"\1\0\5\2\0", b"\1\0\x0a\3\0")
"""Nothing; the whole; the whole with a byte changed, removed, and cut short."""
