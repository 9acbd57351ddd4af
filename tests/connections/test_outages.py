"""Outages: no kind raises a flag, at any step of a check."""

import logging
from pathlib import Path

import pytest
import structlog

from tests.figures.kinds import KINDS
from tests.figures.outages import listening, run_all
from tests.platforms.web import Authority

EACH = 15


def test_the_sink_finds_secrets() -> None:
    """It finds a secret in a line of the service and in one of a library."""
    with listening() as sink:
        structlog.get_logger().info("said", what="one-secret")
        logging.getLogger("somebody.else").debug("said %s", "another-secret")
        assert sink.leaks(["one-secret", "another-secret"]) == 2
        assert sink.leaks(["one-secret", "another-secret"]) == 0


@pytest.mark.slow
async def test_no_outage_raises_a_flag(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each kind, at the socket: every check ends in doubt, spends at most one login and only if
    it reached that step, and shows no secret."""
    rows = await run_all(database, Authority(tmp_path), EACH, monkeypatch)
    assert len(rows) == len(KINDS) + 1
    for row in rows:
        assert (row.outages, row.unverified, row.flags, row.leaks) == (EACH, EACH, 0, 0), row
        assert row.logins <= row.most_logins, row
        # on a busy machine, a hanging check may time out before it meets the outage
        assert row.met == EACH or (row.late and row.met), row
