"""The examples, built, formatted and linted by each language's own tools, do what they show."""

import pytest

from tests.examples.build import built
from tests.examples.checks import checked
from tests.examples.languages import Language
from tests.examples.world import World
from tests.support.leasing import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(1500)]

CHECKS = [
    *("platforms", "wrong key", "wrong field", "its name", "OAuth platform", "refused password"),
    *("its cause", "busy platform", "when to retry", "deadline", "set field", "connect"),
    *("unset field", "broken connection", "lease and post", "watch", "resumed watch"),
]
MAX_LINES = 150


def test_every_check_passes(language: Language, sandbox_world: World) -> None:
    """Each language makes the same checks."""
    checks = checked(built(language), sandbox_world)

    assert checks.right, checks.text
    assert checks.names == CHECKS


def test_each_file_is_short() -> None:
    """An example is small enough to read."""
    suffixes = {".go", ".ts", ".java", ".rs", ".py"}
    files = [path for path in (ROOT / "examples").rglob("*") if path.suffix in suffixes]
    made = {"gen", "node_modules", "target", "dist", "build"}
    ours = [path for path in files if not made & set(path.relative_to(ROOT).parts)]
    lengths = {str(path): len(path.read_text().splitlines()) for path in ours}
    assert len(lengths) > 15
    assert not {path: length for path, length in lengths.items() if length > MAX_LINES}
