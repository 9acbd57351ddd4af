"""docs/operations.md and decision 8: how long what a dead node held stays held."""

import re
from pathlib import Path

from service.connections.timeouts import TIMEOUTS

ROOT = Path(__file__).parents[2]


def test_claims_time_out_when_the_page_says() -> None:
    """In the order of the sentence: a check, an idempotency key, a pick."""
    page = " ".join((ROOT / "docs/operations.md").read_text().split())
    sentence = page.partition("Its claims time out: ")[2].partition(". A repeated")[0]
    seconds = [float(one) for one in re.findall(r"after (\d+) s", sentence)]
    assert seconds == [TIMEOUTS.claim, TIMEOUTS.reservation, TIMEOUTS.picked]


def test_the_decision_on_claims_has_their_timeout() -> None:
    """The page that explains claims."""
    page = (ROOT / "docs/decisions/0008-one-claim.md").read_text()
    assert f"times out after {TIMEOUTS.claim:g} s" in page
