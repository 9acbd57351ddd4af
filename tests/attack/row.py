"""Row: a threat of SECURITY.md, and what an attack of its kind has shown."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What was counted or timed, and whether the promise holds by it; None: it could not be judged
    on this machine, and *seen* says why."""

    what: str
    seen: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "**BROKEN**", None: "not judged"}[self.holds]


@dataclass(frozen=True)
class Ground:
    """What an attack has to itself: an empty folder, the real Bluesky server's programs and
    PostgreSQL's, and a word for those who wait."""

    folder: Path
    pds: Path
    postgres: Path
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Row:
    """*attack* is told how large a part of the whole to do: 1 is all of it, of which the suite does
    a tenth. It raises where the attack itself could not be made."""

    number: int
    threat: str
    attack: Callable[[Ground, float], Coroutine[Any, Any, Sequence[Figure]]]

    def told(self, figures: Sequence[Figure]) -> list[str]:
        """The row as lines of a table in Markdown."""
        return [
            f"| {self.number if first else ''} | {self.threat if first else ''} "
            f"| {figure.what} | {figure.seen} | {figure.verdict} |"
            for figure, first in zip(figures, (True, *[False] * len(figures)), strict=False)
        ]


HEAD = ("| # | Threat | What was tried | Seen | Promise |", "|---|---|---|---|---|")


def share(whole: int, part: float) -> int:
    """That part of so many tries, and one at least."""
    return max(1, round(whole * part))
