"""Target: what is handed any bytes, and raises where a promise about them is broken.

Hypothesis hands it what looks like the real thing, in every run of the suite; `make fuzz` hands it
what leads to code that nothing led to before.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

Read = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """*opened* gets an empty folder; *seeds* are bytes to begin with."""

    opened: Callable[[Path], AbstractContextManager[Read]]
    seeds: tuple[bytes, ...]


def told(data: bytes, whole: bytes) -> bytes:
    """What *data* tells: *whole* with edits where it begins with 1, else its own rest."""
    return edited(whole, data[1:]) if data[:1] == b"\1" else data[1:]


def edited(whole: bytes, edits: bytes) -> bytes:
    """*whole* after *edits* of four bytes: where (2), what is done there, and with which byte."""
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
    """Any text there can be, lone surrogates among it."""
    return data.decode("utf-8", "surrogateescape")


BYTE = st.integers(0, 255)
EDITS = st.lists(
    st.tuples(BYTE, BYTE, st.integers(0, 4), BYTE).map(bytes), min_size=1, max_size=3
).map(lambda edits: b"\1" + b"".join(edits))


def own(data: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """*data* told as it is."""
    return data.map(b"\0".__add__)


ANYTHING = own(st.binary()) | own(st.text().map(lambda text: text.encode("utf-8", "replace")))
SEEDS = (b"\0", b"\1", b"\1\0\5\0a", b"\1\0\5\2\0", b"\1\0\x0a\3\0")
"""Nothing; the whole; the whole with a byte changed, taken out, and cut short."""
