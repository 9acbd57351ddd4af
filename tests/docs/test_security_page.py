"""SECURITY.md and docs/attack-results.md: what they name is there, and the rows are attacked."""

import re
from pathlib import Path

from tests.attack.rows import ROWS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
PROMISED = re.compile(r"^\| (\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def test_what_keeps_the_promises_is_there() -> None:
    """Every path that is named exists, and holds tests or an attack."""
    promises = PROMISED.findall(PAGE.partition("## Threats and promises")[2].partition("\n## ")[0])
    assert [int(number) for number, _, _ in promises] == list(range(1, 21))
    for _, _, kept_by in promises:
        modules = re.findall(r"`(tests/[\w/]+\.py)`", kept_by)
        assert modules
        assert all(re.search(r"\bdef (test|attack)", (ROOT / name).read_text()) for name in modules)
    paths = re.findall(r"`(tests/[\w/]+(?:\.py)?)`", PAGE)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_named_settings_and_commands_exist() -> None:
    """Every setting and make target that the page names exists."""
    settings, makefile = (
        (ROOT / name).read_text() for name in ("docs/configuration.md", "Makefile")
    )
    for name in set(re.findall(r"POSTCORE_\w+", PAGE)):
        assert name in settings
    for target in set(re.findall(r"`make (\w+)", PAGE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_promise_is_attacked() -> None:
    """Each row of the page is a row of `make attack`, in the same words."""
    promised = {int(number): threat for number, threat, _ in PROMISED.findall(PAGE)}
    assert {row.number: row.threat for row in ROWS} == promised


def test_it_can_be_found() -> None:
    """From the pages that people read first."""
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "(SECURITY.md)" in (ROOT / name).read_text()


def test_the_results_are_of_these_attacks() -> None:
    """docs/attack-results.md has a row for every promise, by its number and threat."""
    results = (ROOT / "docs/attack-results.md").read_text()
    shown = dict(re.findall(r"^\| (\d+) \| ([^|]+) \|", results, re.MULTILINE))
    assert {int(number): threat for number, threat in shown.items()} == {
        row.number: row.threat for row in ROWS
    }
