"""Page: a Markdown page, taken apart into its blocks of code and its tables.

Blocks of `sh` and `python` are run, in order; those of `typescript` and `go` by a test. A block of
`text` or `json` right after one is what it prints; `…` stands for anything, alone on a line for any
lines. An HTML comment on the line above a block says how else it is run, or why it is not:

    <!-- in a new folder -->           in an empty folder, as a new user does
    <!-- run by tests/FILE.py -->      another test runs it
    <!-- not run: REASON -->
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]+) -->\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NEW_FOLDER = "in a new folder"


@dataclass
class Block:
    """A block of code, and what it is said to print; None where nothing is said."""

    kind: str
    code: str
    mark: str = ""
    shown: str | None = None
    shown_as: str = "text"

    @property
    def is_run(self) -> bool:
        return self.mark in ("", NEW_FOLDER)

    def shows(self, printed: str) -> bool:
        """Whether *printed* is what the page shows for it."""
        if self.shown is None:
            return True
        if self.shown_as == "json":
            return _same(json.loads(self.shown), json.loads(printed))
        return shows(self.shown, printed)


@dataclass
class Page:
    """A page by its path from the root of the repository."""

    name: str
    text: str = field(repr=False)

    @classmethod
    def read(cls, name: str) -> "Page":
        return cls(name, (ROOT / name).read_text())

    def section(self, title: str) -> "Page":
        """What stands under the heading *title*, up to the next of its kind or a higher one."""
        found = re.search(
            rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)",
            self.text,
            re.MULTILINE | re.DOTALL,
        )
        assert found, title
        return Page(self.name, found[2])

    def blocks(self) -> list[Block]:
        """All blocks that are run or marked, each with what it prints."""
        found: list[Block] = []
        for match in BLOCK.finditer(self.text):
            kind, code, mark = match["kind"], match["code"], match["mark"] or ""
            if kind in ("sh", "python", "typescript", "go"):
                found.append(Block(kind, code, mark))
            elif kind in ("text", "json"):
                assert found, f"nothing prints:\n{code}"
                assert found[-1].shown is None, f"two replies in a row:\n{code}"
                found[-1].shown, found[-1].shown_as = code, kind
        return found

    def rows(self) -> Iterator[list[str]]:
        """The rows of all tables, without their heads; a `|` in a cell is written as `\\|`."""
        lines = self.text.splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            is_head = re.fullmatch(r"\|[-| ]+\|", line) or not line.startswith("|")
            if is_head or not before.startswith("|"):
                continue
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            yield [cell.strip().replace("\\|", "|") for cell in cells]


def shows(shown: str, printed: str) -> bool:
    """Whether *printed* is what *shown* says: `…` alone on a line stands for any lines, within one
    for anything."""
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.split("…"))) + "\n"
    return re.fullmatch(pattern, printed) is not None


def _same(shown: Any, printed: Any) -> bool:
    """The same for JSON: the same fields, and `…` within a string for anything."""
    if isinstance(shown, dict) and isinstance(printed, dict):
        return shown.keys() == printed.keys() and all(
            _same(shown[key], printed[key]) for key in shown
        )
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(_same, shown, printed))
    if isinstance(shown, str) and isinstance(printed, str):
        return shows(f"{shown}\n", f"{printed}\n")
    return bool(shown == printed)
