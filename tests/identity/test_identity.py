"""Our resolution gives the results of the reference, but for decisions that are written down."""

import pytest

from tests.conftest import tool
from tests.identity.decisions import DECISIONS
from tests.identity.namespace import network
from tests.identity.page import FILE, committed, expected, generated
from tests.identity.run_driver import Outcome, ask
from tests.identity.table import GROUPS, SITUATIONS


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    packages = tool("tests/pds/install")
    return ask(network(), tmp_path_factory.mktemp("network"), packages)


def test_every_situation_ends_as_the_table_says(outcome: Outcome) -> None:
    """Both sides, and the page shows what they gave."""
    wrong = {
        " · ".join(key): f"expected {stated}, got {outcome.results[key]} (reference, ours)"
        for key, stated in expected().items()
        if outcome.results[key] != stated
    }
    assert wrong == {}
    assert generated(outcome.results) == committed()
    assert f"`@atproto/identity` {outcome.version}" in FILE.read_text()


def test_a_difference_has_a_decision_and_nothing_else_has() -> None:
    """Every decision is used, too, and no two situations of a group have one name."""
    assert {each.name for each in SITUATIONS if each.is_equal and each.because} == set()
    assert {each.name for each in SITUATIONS if not each.is_equal and not each.because} == set()
    assert {each.because for each in SITUATIONS if each.because} == set(DECISIONS)
    for situations in GROUPS.values():
        names = [each.name for each in situations]
        assert sorted(names) == sorted(set(names))


def test_the_page_has_the_tables_of_these_situations() -> None:
    """Write them with `python -m tests.identity --write`."""
    assert committed() == generated(expected())
