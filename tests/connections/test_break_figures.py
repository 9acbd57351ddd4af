"""Figures of breaks at a small scale; `python -m tests.figures breaks` measures them in full."""

import pytest

from tests.figures.breaks import find_at_site, hurry
from tests.figures.site_breaks import BREAKS

ONE_ROUND_HOURS = 10.0
"""A round of checks, and what a second refusal takes."""
SOME = [
    ("wordpress", "application password revoked", 0),
    ("wordpress", "revoked, and ours with it", 2),
    ("wordpress", "restored: ours not in the backup", 1),
    ("wordpress", "every answer is a firewall's page", 0),
    ("mastodon", "token revoked", 2),
    ("mastodon", "token regenerated", 5),
    ("mastodon", "account suspended", 9),
    ("ghost", "integration deleted", 1),
    ("ghost", "moved to another domain", 0),
    ("ghost", "header removed for two days", 9),
]


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "name", "max_logins"), SOME)
async def test_a_break_is_found(
    platform: str, name: str, max_logins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the monitor alone, with few uses of the owner's credential."""
    hurry(monkeypatch)
    found = await find_at_site(platform, name, ONE_ROUND_HOURS)
    assert found.verdict == BREAKS[platform][name][1], found
    assert found.logins <= max_logins, found
