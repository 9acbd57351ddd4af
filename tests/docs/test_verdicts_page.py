"""docs/verdicts.md: it has the results of every kind of outage, and of every break."""

import pytest

from tests.docs.page import Page
from tests.figures.breaks import BLUESKY_BREAKS
from tests.figures.outages import STORMS
from tests.figures.site_breaks import BREAKS
from tests.figures.site_leases import WAYS

PAGE = Page.read("docs/verdicts.md")
NAMES = {"bluesky": "Bluesky", "wordpress": "WordPress", "mastodon": "Mastodon", "ghost": "Ghost"}
EXPECTED = {
    "bluesky": {name: verdict for name, (_, verdict) in BLUESKY_BREAKS.items()},
    **{
        platform: {name: verdict for name, (_, verdict) in breaks.items()}
        for platform, breaks in BREAKS.items()
    },
}


@pytest.mark.parametrize("platform", NAMES)
def test_every_kind_of_outage_has_a_row(platform: str) -> None:
    """With its number of outages in the platform's column, and no flag."""
    column = list(NAMES).index(platform) + 1
    *rows, total = PAGE.section("Outages").rows()
    counts = {row[0]: int(row[column]) for row in rows if row[column] != "–"}
    assert counts.keys() == {kind.name for kind in STORMS[platform].kinds}
    assert int(total[column].replace(",", "")) == sum(counts.values())
    assert {row[-1] for row in (*rows, total)} == {"0"}


@pytest.mark.parametrize("platform", NAMES)
def test_every_break_has_a_row(platform: str) -> None:
    """With the verdict that a check has to find."""
    rows = PAGE.section(f"Breaks at {NAMES[platform]}").rows()
    shown = {row[0]: row[1].replace("`", "") for row in rows}
    assert shown == EXPECTED[platform]


def test_every_way_of_leases_has_a_row() -> None:
    """By platform and what happens beside them."""
    shown = {(row[0], row[1]) for row in PAGE.section("Leases").rows()}
    assert shown == {(NAMES[platform], way) for platform, ways in WAYS.items() for way in ways}
