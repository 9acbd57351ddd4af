"""Failpoints: `postcore` in a process that kills itself at a seam, of which its code knows nothing.

    python -m tests.failpoints before store.save_session -- serve

The seam's first call kills, before it does its work or after. `--ahead SECONDS` puts the clock of
the process forward, so that tokens expire.
"""

import functools
import os
import signal
import sys
from typing import Any

from service import cli
from service.limits import LoginLimits
from service.model import SECOND
from service.platforms.bluesky import BlueskyPlatform
from service.ports import SystemClock
from service.storage.store import SqlStore

SEAMS: dict[str, tuple[type, str]] = {
    "store.claim": (SqlStore, "claim"),
    "platform.refresh": (BlueskyPlatform, "refresh"),
    "platform.look_up": (BlueskyPlatform, "look_up"),
    "platform.standing": (BlueskyPlatform, "standing"),
    "limits.spend": (LoginLimits, "spend"),
    "platform.log_in_again": (BlueskyPlatform, "log_in_again"),
    "store.save_session": (SqlStore, "save_session"),
    "store.save_verdict": (SqlStore, "save_verdict"),
    "store.give_up_claim": (SqlStore, "give_up_claim"),
    "store.connection": (SqlStore, "connection"),
}
WHEN = ("before", "after")


def set_off(when: str, seam: str) -> None:
    """Let the process die at *seam*."""
    owner, name = SEAMS[seam]
    method = getattr(owner, name)

    @functools.wraps(method)
    async def deadly(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return await method(*arguments, **named)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def put_forward(seconds: float) -> None:
    """Let the process live so many seconds later."""
    now = SystemClock.now
    SystemClock.now = lambda self: now(self) + int(seconds * SECOND)  # type: ignore[method-assign]


def main() -> None:
    at = sys.argv.index("--")
    when, seam, *ahead = sys.argv[1:at]
    set_off(when, seam)
    if ahead:
        put_forward(float(ahead[1]))
    sys.argv[1:] = sys.argv[at + 1 :]
    cli.main()


if __name__ == "__main__":
    main()
