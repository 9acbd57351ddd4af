"""Outages: no kind raises a flag, at any step of a check."""

import logging
from pathlib import Path

import pytest
import structlog

from tests.figures.outages import STORMS, listening, run_each
from tests.platforms.web import Authority

EACH = {"bluesky": 15, "wordpress": 4, "mastodon": 4, "ghost": 4}
"""How many of each kind. Some begin at each request of a check."""


def test_the_sink_finds_secrets() -> None:
    """It finds a secret in a line of the service and in one of a library."""
    with listening() as sink:
        structlog.get_logger().info("said", what="one-secret")
        logging.getLogger("somebody.else").debug("said %s", "another-secret")
        assert sink.leaks(["one-secret", "another-secret"]) == 2
        assert sink.leaks(["one-secret", "another-secret"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("platform", EACH)
async def test_no_outage_raises_a_flag(
    platform: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each kind, at the socket: every check ends in doubt, spends no more logins than it needs
    to get that far, and shows no secret; the next one after it finds the connection healthy."""
    each = EACH[platform]
    authority = Authority(tmp_path)
    rows = [row async for row in run_each(platform, database, authority, each, monkeypatch)]
    assert len(rows) == len(STORMS[platform].kinds)
    for row in rows:
        assert (row.outages, row.flags, row.leaks) == (each, 0, 0), row
        assert row.unverified == each or row.kind.harmless, row
        assert row.recovered == row.mended, row
        assert row.mended == each or row.kind.lasting, row
        assert row.logins <= row.max_logins, row
        # on a busy machine, a hanging check may time out before it meets the outage
        assert row.met == each or (row.kind.late and row.met), row
