"""Row: a threat of SECURITY.md, and the figures of the attack that tests it."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A count or a duration, and whether it keeps the promise.

    *holds* is None if this machine could not decide it; *seen* then gives the reason.
    """

    what: str
    seen: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "**BROKEN**", None: "not judged"}[self.holds]


@dataclass(frozen=True)
class Ground:
    """The resources of an attack: an empty folder, programs of Bluesky and PostgreSQL, a progress
    log."""

    folder: Path
    pds: Path
    postgres: Path
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Row:
    """A row of the table, and its attack.

    *attack* receives the part to run: 1 is all of it, and the suite runs a tenth. It raises if the
    attack itself could not be made.
    """

    number: int
    threat: str
    attack: Callable[[Ground, float], Coroutine[Any, Any, Sequence[Figure]]]

    def table_lines(self, figures: Sequence[Figure]) -> list[str]:
        """Return the row as lines of a Markdown table."""
        return [
            f"| {self.number if first else ''} | {self.threat if first else ''} "
            f"| {figure.what} | {figure.seen} | {figure.verdict} |"
            for figure, first in zip(figures, (True, *[False] * len(figures)), strict=False)
        ]


HEAD = ("| # | Threat | What was tried | Seen | Promise |", "|---|---|---|---|---|")


def share(whole: int, part: float) -> int:
    """Return *part* of *whole* tries, rounded, at least one."""
    return max(1, round(whole * part))
