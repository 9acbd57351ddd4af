"""Outages: none of any kind, wherever in a check it begins, raises a flag."""

import logging
from pathlib import Path

import pytest
import structlog

from tests.figures.kinds import KINDS
from tests.figures.outages import listening, run_all
from tests.platforms.web import Authority

EACH = 15


def test_the_sink_is_awake() -> None:
    """It finds a secret in a line of ours, and in one of anybody's."""
    with listening() as sink:
        structlog.get_logger().info("said", what="one-secret")
        logging.getLogger("somebody.else").debug("said %s", "another-secret")
        assert sink.leaks(["one-secret", "another-secret"]) == 2
        assert sink.leaks(["one-secret", "another-secret"]) == 0


@pytest.mark.slow
async def test_no_outage_raises_a_flag(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the socket, by kind: every check is a doubt, spends one login at most
    and only where it got as far as that, and shows no secret to anybody."""
    rows = await run_all(database, Authority(tmp_path), EACH, monkeypatch)
    assert len(rows) == len(KINDS) + 1
    for row in rows:
        assert (row.outages, row.unverified, row.flags, row.leaks) == (EACH, EACH, 0, 0), row
        assert row.logins <= row.most_logins, row
        # on a busy machine the deadline of what hangs may come before it
        assert row.met == EACH or (row.late and row.met), row
