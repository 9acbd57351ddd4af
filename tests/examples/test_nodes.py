"""The examples as callers of three nodes, of which one is drained and one killed."""

from collections import Counter
from pathlib import Path

import pytest

from tests.examples.build import built
from tests.examples.conftest import require_all
from tests.examples.languages import LANGUAGES
from tests.examples.nodes import EVENTS, Seen, followed, table

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(1500)]

FOLLOW_HEALTH = ("go", "java", "python")
"""Whose clients leave a node that reports NOT_SERVING; that of TypeScript repeats calls."""
REPEAT = (*FOLLOW_HEALTH, "typescript")


async def test_callers_go_on_while_nodes_end(tmp_path: Path, postgres_url: str) -> None:
    """No event is lost or seen twice; clients that take the service config lose no call."""
    languages = [each for each in LANGUAGES.values() if not each.missing]
    if not languages:
        pytest.skip("no language's tools are installed")

    seen = await followed({each.name: built(each) for each in languages}, tmp_path, postgres_url)

    shown = table(seen)
    for name, phases in seen.items():
        steady, drained, killed = phases
        assert sum(phase.events for phase in phases) == EVENTS, f"{name}\n{shown}"
        assert not lost(steady), f"{name}\n{shown}"
        assert steady.calls, f"{name}\n{shown}"
        assert killed.calls > killed.failed.total(), f"{name}\n{shown}"
        if name in REPEAT:
            assert not lost(drained), f"{name}\n{shown}"
    require_all()


def lost(phase: Seen) -> Counter[str]:
    """The failed calls by code, but for those that a busy machine made late."""
    return Counter(
        {code: count for code, count in phase.failed.items() if "DEADLINE" not in code.upper()}
    )
