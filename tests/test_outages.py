"""Outages: none of any kind, wherever in a check it begins, raises a flag."""

from pathlib import Path

import pytest

from tests.figures.kinds import KINDS
from tests.figures.outages import suffer_all
from tests.outside.web import Authority

EACH = 15


async def test_no_outage_raises_a_flag(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the socket, by kind: every check says that it could not tell, spends one login at most
    and only where it got as far as that, and shows no secret to anybody."""
    rows = await suffer_all(database, Authority(tmp_path), EACH, monkeypatch)
    assert len(rows) == len(KINDS) + 1
    for row in rows:
        assert (row.outages, row.unverified, row.flags, row.leaks) == (EACH, EACH, 0, 0), row
        assert row.logins <= row.most_logins, row
        # on a busy machine the deadline of what hangs may come before it
        assert row.met == EACH or (row.late and row.met), row
