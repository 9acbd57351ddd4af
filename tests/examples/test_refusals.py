"""Bad input, as each language's user sees it."""

from pathlib import Path

import pytest

from tests.examples.build import built
from tests.examples.conftest import require_all
from tests.examples.languages import LANGUAGES
from tests.examples.refusals import CASES, row, shown
from tests.support.leasing import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(1500)]

REASONS = {case: reason for case, reason in CASES.items() if case != "expired deadline"}
PAGE = ROOT / "docs/languages.md"


async def test_bad_input_is_refused_as_the_page_shows(tmp_path: Path) -> None:
    """Every reason arrives, one that the stubs do not know too, and the page shows the errors."""
    examples = [built(each) for each in LANGUAGES.values() if not each.missing]

    found = await shown(examples, tmp_path)

    page = PAGE.read_text()
    for name, cases in found.items():
        late = cases.pop("expired deadline")  # whose words depend on which side noticed first
        assert late.code.replace("_", "").upper() in ("DEADLINEEXCEEDED", "CANCELLED"), name
        assert {case: seen.reason for case, seen in cases.items()} == REASONS, name
        for case, seen in cases.items():
            _, _, part = page.partition(f"| **{case}** |")
            assert row(name, seen) in part.partition("\n| **")[0].splitlines(), case
    require_all()
