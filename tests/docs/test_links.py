"""All pages: what they link to and the files that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:service|tests|protos|generated)/[\w./-]*)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    """Each link to a file or a heading of this repository."""
    page = ROOT / name
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_every_file_that_a_page_names_exists(name: str) -> None:
    """Paths in backticks; a folder ends with a slash or is one."""
    for path in PATH.findall((ROOT / name).read_text()):
        assert (ROOT / path).exists(), path


def test_every_decision_is_listed() -> None:
    """Each page of docs/decisions by its title and date, in order."""
    folder = ROOT / "docs/decisions"
    listed = re.findall(
        r"^\| (\d{4}) \| \[(.+)\]\((.+)\) \| ([\d-]+) \|$",
        (folder / "README.md").read_text(),
        re.MULTILINE,
    )
    pages = sorted(folder.glob("[0-9]*.md"))
    assert [link for _, _, link, _ in listed] == [page.name for page in pages]
    for (number, title, _, date), page in zip(listed, pages, strict=True):
        first, _, third, *_ = page.read_text().splitlines()
        assert first == f"# {int(number)}. {title}"
        assert third.startswith(f"{date} · ")
        assert page.name.startswith(number)


def test_every_page_is_linked() -> None:
    """A reader of README.md reaches every page of docs/ in two steps."""
    near = (ROOT / "README.md").read_text() + (ROOT / "ARCHITECTURE.md").read_text()
    for page in ROOT.glob("docs/*.md"):
        assert f"docs/{page.name}" in near, page.name
