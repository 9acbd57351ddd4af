"""Failpoints: `postcore` in a process that kills itself at a seam; the service's code has no hook.

    python -m tests.support.failpoints before store.save_session -- serve

The seam's first call (or call number `--call`) kills the process before or after its work. `--ahead
SECONDS` sets the process's clock forward, so that tokens expire. `--warm` loads the platform's SDK
before the start, which on a busy machine takes as long as a refresh may. Without a seam, the
process is not killed.
"""

import argparse
import functools
import os
import signal
import sys
from typing import Any

from service.cli import main as cli
from service.connections.login_budget import LoginBudget
from service.domain.clock import SystemClock
from service.domain.model import SECOND
from service.platforms.bluesky import adapter
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.storage import connections
from service.storage.audit import SqlAudit
from service.storage.connections import SqlConnections
from service.storage.idempotency import SqlIdempotency
from service.storage.profiles import SqlProfiles
from service.storage.sqlite import SqliteEngine, SqliteTransaction
from service.storage.tenants import SqlTenants

SEAMS: dict[str, tuple[Any, str]] = {
    "store.reserve": (SqlIdempotency, "reserve"),
    "platform.identify": (BlueskyPlatform, "identify"),
    "limits.spend": (LoginBudget, "spend"),
    "platform.log_in": (BlueskyPlatform, "log_in"),
    "store.save_login": (SqlConnections, "save_login"),
    # within the transaction: rows are written, and not yet committed
    "transaction.add_event": (connections, "add_event"),
    "transaction.run_together": (SqliteTransaction, "run_together"),
    "engine.commit": (SqliteEngine, "_commit"),
    "store.save_display_name": (SqlConnections, "save_display_name"),
    "store.create_profile": (SqlProfiles, "create"),
    "store.disconnect": (SqlConnections, "disconnect"),
    "store.delete_profile": (SqlProfiles, "delete"),
    "platform.log_out": (BlueskyPlatform, "log_out"),
    "store.connection": (SqlConnections, "connection"),
    "store.claim": (SqlConnections, "claim"),
    "platform.refresh": (BlueskyPlatform, "refresh"),
    "platform.resolve_account": (BlueskyPlatform, "resolve_account"),
    "platform.account_status": (BlueskyPlatform, "account_status"),
    "platform.log_in_again": (BlueskyPlatform, "log_in_again"),
    "store.save_session": (SqlConnections, "save_session"),
    "store.save_verdict": (SqlConnections, "save_verdict"),
    "store.add_audit": (SqlAudit, "add"),
    "store.delete_part_of_tenant": (SqlTenants, "delete_batch"),
}
assert all(hasattr(owner, name) for owner, name in SEAMS.values())
WHEN = ("before", "after")


def arm(when: str, seam: str, call: int) -> None:
    """Make the process kill itself at that call of *seam*."""
    owner, name = SEAMS[seam]
    method = getattr(owner, name)
    left = call

    @functools.wraps(method)
    async def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left > 0:
            return await method(*arguments, **named)
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return await method(*arguments, **named)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def advance_clock(seconds: float) -> None:
    """Set the process's clock forward."""
    now = SystemClock.now
    SystemClock.now = lambda self: now(self) + int(seconds * SECOND)  # type: ignore[method-assign]


def main() -> None:
    at = sys.argv.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("when", nargs="?", choices=WHEN)
    parser.add_argument("seam", nargs="?", choices=SEAMS)
    parser.add_argument("--call", type=int, default=1)
    parser.add_argument("--ahead", type=float, default=0)
    parser.add_argument("--warm", action="store_true")
    given = parser.parse_args(sys.argv[1:at])
    if given.seam:
        arm(given.when, given.seam, given.call)
    if given.warm:
        adapter._load_sdk()
    if given.ahead:
        advance_clock(given.ahead)
    sys.argv[1:] = sys.argv[at + 1 :]
    cli.main()


if __name__ == "__main__":
    main()
