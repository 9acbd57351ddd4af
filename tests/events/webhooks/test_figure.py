"""The figure in short: `python -m tests.figures webhooks` has the whole, with the times."""

from pathlib import Path

import pytest

from tests.figures.webhooks import BAD, RECEIVERS, measured

EVENTS = 250


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_message_is_lost(tmp_path: Path) -> None:
    """At 50 receivers, of which 10 are bad until they are mended; each profile's order is kept."""
    run = await measured(tmp_path / "run", EVENTS, bad=BAD)
    assert (run.lost, run.misordered) == (0, 0)
    assert len(run.waits) == (RECEIVERS - BAD) * EVENTS // 25
