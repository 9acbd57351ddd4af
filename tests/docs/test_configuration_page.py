"""docs/configuration.md: every setting with its default and range, and none that does not exist."""

import re
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le

from service.settings import CLIENT_VARIABLES, PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text()
ROW = re.compile(
    r"^\| `(POSTCORE_\w+)` \|(?: ([^|]+))? \| ([^|]+) \|(?: ([^|]+))? \| (.+) \|$", re.MULTILINE
)
FILE_VARIABLE = "POSTCORE_DATABASE_URL_FILE"


def default(value: Any) -> str:
    """A default as a user would type it."""
    if isinstance(value, tuple | dict):
        return ",".join(map(str, value))
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def bounds(constraints: list[Any]) -> str:
    """A field's bounds as the page writes them."""
    least = [one.ge for one in constraints if isinstance(one, Ge)]
    above = [one.gt for one in constraints if isinstance(one, Gt)]
    most = [one.le for one in constraints if isinstance(one, Le)]
    if least and most:
        return f"{least[0]}–{most[0]}"
    return ", ".join(
        [f"≥ {one}" for one in least] + [f"> {one}" for one in above] + [f"≤ {one}" for one in most]
    )


def test_every_setting_has_a_row_and_every_row_a_setting() -> None:
    """With the default and the range of the code; each once."""
    shown = [(name, given.strip(), limits) for name, given, _, limits, _ in ROW.findall(PAGE)]
    expected = [
        (f"{PREFIX}{name.upper()}", default(field.default), bounds(field.metadata))
        for name, field in Settings.model_fields.items()
    ]
    assert sorted(shown) == sorted(expected)


def test_pages_name_settings_that_exist() -> None:
    """In README.md and in all of docs/."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {FILE_VARIABLE, *CLIENT_VARIABLES}
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert set(re.findall(r"POSTCORE_\w*[A-Z]", page.read_text())) <= known, page
