"""README.md and docs/: every command is run, and what a page shows is what comes back."""

import re
from collections import Counter

import click
import pytest

from service.cli.main import cli
from tests.docs.page import ROOT, Page, shows
from tests.docs.shell import Shell

NAMES = [
    "README.md",
    *sorted(page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/**/*.md")),
]
PAGES = {name: Page.read(name) for name in NAMES}
NOT_RUN = {"docs/deployment.md": 4, "docs/doctor.md": 1, "docs/operations.md": 5}
"""How many blocks of each page cannot be run here; each says why beside it."""


@pytest.mark.parametrize(
    "name",
    [name for name, page in PAGES.items() if any(block.is_run for block in page.blocks())],
)
def test_what_a_page_shows_is_what_comes_back(shell: Shell, name: str) -> None:
    """Its blocks in order, in one shell; a block without a reply has to end well."""
    shell.reset()
    blocks = [block for block in PAGES[name].blocks() if block.is_run]
    for block, printed in zip(blocks, shell.run(*blocks), strict=True):
        assert block.shows(printed.text), f"{block.code}\nprinted:\n{printed.text}"
        if block.shown is None:
            assert printed.code == 0, f"{block.code}\nprinted:\n{printed.text}"


def test_few_blocks_are_not_run() -> None:
    """Each says why; the number is known, so that a new one is noticed."""
    reasons = [
        (name, block.mark.removeprefix("not run: "))
        for name, page in PAGES.items()
        for block in page.blocks()
        if block.mark.startswith("not run: ")
    ]
    assert Counter(name for name, _ in reasons) == NOT_RUN, reasons
    assert all(len(reason) > 20 for _, reason in reasons)


def test_every_mark_is_known_and_true() -> None:
    """A block that another test runs names one that speaks of the page or of its first command."""
    for name, page in PAGES.items():
        for block in page.blocks():
            if block.is_run or block.mark.startswith("not run: "):
                continue
            found = re.fullmatch(r"run by (tests/[\w/]+\.py)", block.mark)
            assert found, f"{name}: {block.mark}"
            text = (ROOT / found[1]).read_text()
            assert name.rpartition("/")[2] in text or block.code.splitlines()[0] in text, name


def test_every_comment_is_a_mark() -> None:
    """None is lost by a blank line between it and its block."""
    for name, page in PAGES.items():
        comments = re.findall(r"^<!-- (?:run by|not run|in a new)", page.text, re.MULTILINE)
        assert len(comments) == sum(bool(block.mark) for block in page.blocks()), name


def test_all_commands_are_listed() -> None:
    """docs/operations.md has each command of `postcore`, and no other."""
    cells = " ".join(cell for cell, *_ in PAGES["docs/operations.md"].section("Commands").rows())
    listed = set(re.findall(r"`([a-z-]+(?: [a-z][a-z-]*)?)", cells))
    expected = set()
    for name, command in cli.commands.items():
        inner = command.commands if isinstance(command, click.Group) else {}
        if name in ("client", "sandbox"):  # docs/client.md and docs/sandbox.md list them
            inner = {}
        expected |= {f"{name} {each}" for each in inner}
        if not inner or getattr(command, "invoke_without_command", False):
            expected.add(name)
    assert listed == expected


@pytest.mark.parametrize(
    ("reply", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ('"…s"\n', '"30s"\n', True),
        ('"…s"\n', '"30m"\n', False),
        ("…\n", "", True),
        ("a.\n", "ab\n", False),
    ],
)
def test_a_reply_is_compared_line_by_line(reply: str, printed: str, *, same: bool) -> None:
    """Only … stands for something else."""
    assert shows(reply, printed) is same
