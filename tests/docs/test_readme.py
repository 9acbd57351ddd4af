"""README.md: short, and each figure in it stands in the page that it links to."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAX_LINES = 120


def numbers(text: str) -> set[str]:
    """All numbers in *text*, without their commas and fractions of more than two digits."""
    return set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3})", "", text)))


def test_it_is_short() -> None:
    """A reader sees all of it in five minutes."""
    assert len(README.splitlines()) <= MAX_LINES


def test_each_reason_to_use_it_has_a_figure_that_stands_elsewhere() -> None:
    """Six of them; a linked number is in the page, whole or rounded, or counts a table's rows."""
    why = README.partition("## Why\n")[2].partition("\n## ")[0]
    reasons = re.split(r"^- ", why, flags=re.MULTILINE)[1:]
    assert len(reasons) == 6
    for reason in reasons:
        links = re.findall(r"\[([^\]]*\d[^\]]*)\]\(([\w./-]+)[^)]*\)", reason)
        assert links, reason
        for text, page in links:
            content = (ROOT / page).read_text()
            known = numbers(content) | {str(round(float(one))) for one in numbers(content)}
            known |= {str(len(rows)) for rows in tables(content)}
            assert numbers(text) <= known, (text, page)


def tables(text: str) -> list[list[str]]:
    """The rows of each table, without its head."""
    return [table.splitlines()[2:] for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


def test_every_room_has_its_place_in_the_folders() -> None:
    """The rooms of service/, and no other."""
    folders = README.partition("## Folders\n")[2]
    rooms = {path.parent.name for path in (ROOT / "service").glob("*/__init__.py")}
    service = folders.partition("service/")[2].partition("tests/")[0]
    named = {
        word
        for line in service.splitlines()
        for word in re.split(r"\s{2,}", line.strip(), maxsplit=1)[0].split(", ")
    }
    assert named - {""} == rooms
