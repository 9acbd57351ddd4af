"""Outages: none of any kind, wherever in a check it begins, raises a flag."""

from pathlib import Path

import pytest

from tests.figures.outages import suffer_all
from tests.outside.web import Authority


async def test_no_outage_raises_a_flag(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the socket, by kind: every check says that it could not tell, spends one login at most
    and only where it got as far as that, and shows no secret to anybody."""
    rows = await suffer_all(database, Authority(tmp_path), 20, monkeypatch)
    assert len(rows) == 20
    for row in rows:
        assert (row.outages, row.unverified, row.flags, row.leaks) == (20, 20, 0, 0), row
        assert row.met == 20, row
        assert row.logins <= row.most_logins, row
