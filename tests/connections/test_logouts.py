"""Logouts: sessions that are ended at their servers, and the log of those that are not."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service.connections.logouts import Logouts
from service.domain.errors import PlatformUnavailable
from service.domain.model import Account, PlatformUnavailableCause, Session
from service.runtime.tasks import OwnedTasks

HERE, ELSEWHERE = "http://127.0.0.1:2580", "http://127.0.0.1:2590"
SESSION = Session("access", "refresh", 0)


class Away:
    """A platform whose servers are all unreachable."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def log_out(self, _: Session, account: Account) -> None:
        self.asked.append(account.origin)
        raise PlatformUnavailable(PlatformUnavailableCause.SERVER_UNREACHABLE, "refused")


@pytest.mark.parametrize(
    ("only_at", "asked"),
    [
        pytest.param(None, [HERE, ELSEWHERE], id="live"),
        pytest.param(frozenset({HERE}), [HERE], id="sandbox"),
    ],
)
async def test_only_a_sandbox_skips_sessions_at_other_servers(
    only_at: frozenset[str] | None, asked: list[str]
) -> None:
    """Such sessions ended with an earlier sandbox. Every other session that cannot be ended is
    logged."""
    tasks, platform = OwnedTasks(), Away()
    unused: Any = None
    logouts = Logouts(unused, unused, tasks, only_at)
    with capture_logs() as lines:
        for origin in (HERE, ELSEWHERE):
            logouts.unsaved(platform, SESSION, Account("", "", origin))  # type: ignore[arg-type]
        assert await tasks.drain(10) == 0
    assert platform.asked == asked
    expected = [("session not ended at the server", "refused")] * len(asked)
    assert [(line["event"], line["why"]) for line in lines] == expected
