"""docs/operations.md: its time limits and log lines are those of the code."""

import re
from pathlib import Path

from service.connections.timeouts import TIMEOUTS
from service.runtime.metrics import Definition, Metrics

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


def test_log_lines_are_those_of_the_code() -> None:
    """What a page says is logged is an event of the service."""
    code = "".join(file.read_text() for file in (ROOT / "service").rglob("*.py"))
    logged = {
        event
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for event in re.findall(
            r"(?:logs?|log says|logged as|shows such guesses as)\s`([a-z][a-z ]+)`",
            page.read_text(),
        )
    }
    assert len(logged) >= 7
    assert [event for event in logged if not re.search(rf'"{event}["; ]', code)] == []


def test_every_metric_has_a_row() -> None:
    """With its name, type, labels and text, in the order of the code."""
    table = (ROOT / "docs/operations.md").read_text().partition("<!-- metrics -->")[2]
    shown = re.findall(
        r"^\| `(\w+)` \| (\w+) \|(.*?)\| (.+) \|$", table.partition("\n\n")[0], re.MULTILINE
    )
    assert [
        Definition(name, kind, tuple(re.findall(r"`(\w+)`", labels)), text)
        for name, kind, labels, text in shown
    ] == Metrics().definitions
