"""Checks: the lines that an example prints, counted."""

import re
from dataclasses import dataclass

from tests.examples.build import Example
from tests.examples.world import World

SECONDS = 90
"""In which the checks of one example are done; it takes a few."""


@dataclass(frozen=True)
class Checks:
    """The outcome of an example's checks; *text* is all that it printed."""

    names: list[str]
    failed: list[str]
    text: str
    code: int

    @property
    def right(self) -> bool:
        """Whether it counted what it printed, and nothing failed."""
        count = f"{len(self.names)} checks, {len(self.failed)} failed"
        ended = self.text.splitlines()[-1:] == [count]
        return ended and not self.code and not self.failed and bool(self.names)


def checked(example: Example, world: World) -> Checks:
    """Run *example* in *world*."""
    with example.start("check", world.environ) as process:
        try:
            text, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    lines = re.findall(r"^(ok  |FAIL) ([^:]+):", text, re.MULTILINE)
    failed = [name for mark, name in lines if mark == "FAIL"]
    return Checks([name for _, name in lines], failed, text, process.returncode)
