"""Page: docs/sandbox.md, taken apart into sections, their commands, and the replies shown."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs/sandbox.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)


@dataclass
class Step:
    """Commands, and what they are said to print; None, where nothing is said."""

    commands: str
    reply: str | None = None


@dataclass
class Section:
    """A heading and what stands under it, up to the next."""

    title: str
    text: str = field(repr=False)

    @property
    def steps(self) -> list[Step]:
        """The blocks of commands, each with the reply under it."""
        steps: list[Step] = []
        for kind, block in BLOCK.findall(self.text):
            if kind == "sh":
                steps.append(Step(block))
            elif kind == "text":
                assert steps[-1].reply is None, f"two replies in a row: {block}"
                steps[-1].reply = block
        return steps

    def rows(self) -> Iterator[list[str]]:
        """The table's rows, but for its head."""
        lines = [line for line in self.text.splitlines() if line.startswith("|")]
        for line in lines[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def sections(text: str) -> dict[str, Section]:
    """By title, in order."""
    parts = HEADING.split(text)
    return {
        title: Section(title, part) for title, part in zip(parts[1::2], parts[2::2], strict=True)
    }


def shows(reply: str, printed: str) -> bool:
    """Whether *printed* is what *reply* shows: `…` alone in a line stands for any lines, within one
    for anything."""
    pattern = ""
    for line in reply.splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.split("…"))) + "\n"
    return re.fullmatch(pattern, printed) is not None
