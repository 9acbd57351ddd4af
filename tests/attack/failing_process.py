"""`postcore` in a process whose seams fail on order, with secrets in the error texts.

    python -m tests.attack.failing_process ORDERS REPORT serve

ORDERS holds JSON: the seam to fail, the error's name and text, and the seconds by which the clock
is ahead. On each failure, the process appends to REPORT the repr of every object of the service and
whether the process may be dumped.
"""

import ctypes
import functools
import gc
import inspect
import json
import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from service.access.api_keys import ApiKeys
from service.access.idempotency import Idempotency
from service.access.rate_limits import CallLimits
from service.cli import main as cli
from service.connections.connect import Connect
from service.connections.health import Health
from service.connections.leases import Leases
from service.connections.login_budget import LoginBudget
from service.connections.sessions import Sessions
from service.crypto.tokens import Tokens
from service.crypto.vault import Vault
from service.domain.clock import SystemClock
from service.domain.errors import PlatformUnavailable, ServiceUnavailable
from service.domain.model import SECOND, PlatformUnavailableCause
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.bluesky.identity import Identity
from service.platforms.egress.egress import Egress
from service.platforms.egress.transport import OriginTransport
from service.platforms.ghost.adapter import GhostPlatform
from service.platforms.mastodon.adapter import MastodonPlatform
from service.platforms.mastodon.identity import Identity as MastodonIdentity
from service.platforms.wordpress.adapter import WordPressPlatform
from service.storage.connections import SqlConnections
from service.storage.idempotency import SqlIdempotency
from service.storage.login_budget import SqlLoginBudget

PR_GET_DUMPABLE = 3
CONNECT = (
    *((ApiKeys, "check"), (CallLimits, "take"), (Connect, "connect"), (Idempotency, "claim")),
    *((Tokens, "fingerprint"), (SqlIdempotency, "reserve"), (SqlConnections, "connected_account")),
    *((BlueskyPlatform, "tidy"), (BlueskyPlatform, "identify"), (Identity, "account")),
    *((Egress, "get"), (OriginTransport, "handle_async_request"), (LoginBudget, "spend")),
    *((SqlLoginBudget, "debit"), (BlueskyPlatform, "log_in"), (BlueskyPlatform, "log_in_again")),
    *((Vault, "seal"), (Vault, "seal_session"), (SqlConnections, "save_login")),
)
LEASE = (
    *(
        (Leases, "lease"),
        (SqlConnections, "connection"),
        (Vault, "open_session"),
        (Health, "renew"),
    ),
    *((SqlConnections, "claim"), (BlueskyPlatform, "refresh"), (Sessions, "seal")),
    (SqlConnections, "save_session"),
)
VERIFY = (
    *((Health, "verify"), (Health, "check"), (Sessions, "open_credential"), (Vault, "open")),
    (SqlConnections, "save_verdict"),
)
_SITES = {
    "ghost": (GhostPlatform, (GhostPlatform, "_prove"), (GhostPlatform, "_find")),
    "mastodon": (MastodonPlatform, (MastodonPlatform, "_verify"), (MastodonIdentity, "find")),
    "wordpress": (WordPressPlatform, (WordPressPlatform, "_mint"), (WordPressPlatform, "_user")),
}
SITE_CONNECT = {
    platform: (
        *((adapter, name) for name in ("tidy", "identify", "log_in", "log_in_again")),
        *own,
        *((OriginTransport, "handle_async_request"), (LoginBudget, "spend")),
        *((Vault, "seal"), (Vault, "seal_session"), (SqlConnections, "save_login")),
    )
    for platform, (adapter, *own) in _SITES.items()
}
SITE_LEASE = {
    platform: (
        *((Leases, "lease"), (Vault, "open_session"), (Health, "renew"), (Sessions, "seal")),
        *((adapter, name) for name in ("refresh", "lend", "account_status")),
        (SqlConnections, "save_session"),
    )
    for platform, (adapter, *_) in _SITES.items()
}
SITE_VERIFY = {
    platform: ((Health, "check"), (Vault, "open"), (adapter, "resolve_account"))
    for platform, (adapter, *_) in _SITES.items()
}
"""Seams on the way of a call about an account at a site, by platform."""
ERRORS = {
    error.__name__: error
    for error in (ValueError, KeyError, OSError, RuntimeError, TimeoutError, UnicodeError)
} | {"ServiceUnavailable": ServiceUnavailable, "PlatformUnavailable": PlatformUnavailable}


def name_of(seam: tuple[type, str]) -> str:
    return f"{seam[0].__name__}.{seam[1]}"


class Orders:
    def __init__(self, orders: Path, report: Path) -> None:
        self._orders = orders
        self._report = report

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._orders.read_text())
        return found

    def follow(self, seam: str, *handed: object) -> None:
        """Raise if *seam* is ordered to fail; the text includes what it was *handed*."""
        orders = self.read()
        if orders["seam"] != seam:
            return
        self._write_report()
        # as a careless library would: with every argument
        held = [vars(one) for one in handed if hasattr(one, "__dict__")]
        text = f"{orders['text']} {handed!r} {held!r}"
        made = ERRORS[orders["error"]]
        if made is PlatformUnavailable:
            error: Exception = PlatformUnavailable(PlatformUnavailableCause.TIMEOUT, "planted")
        else:
            error = made() if made is ServiceUnavailable else made(orders["text"])
        error.__cause__ = RuntimeError(text)
        error.add_note(text)
        raise error

    def _write_report(self) -> None:
        dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
        ours = [
            one
            for one in gc.get_objects()
            if str(type(one).__module__).partition(".")[0] == "service"
        ]
        seen = set()
        for one in ours:
            with suppress(AttributeError):  # an object that is still being built
                seen |= {repr(one), str(one)}
        with self._report.open("a") as report:
            report.write("\n".join([f"dumpable {dumpable}", f"objects {len(seen)}", *seen, ""]))


def wrap_seam(orders: Orders, seam: tuple[type, str]) -> None:
    owner, name = seam
    method = getattr(owner, name)
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def spilling(*arguments: Any, **named: Any) -> Any:
            orders.follow(name_of(seam), *arguments, *named.values())
            return await method(*arguments, **named)

    else:

        @functools.wraps(method)
        def spilling(*arguments: Any, **named: Any) -> Any:
            orders.follow(name_of(seam), *arguments, *named.values())
            return method(*arguments, **named)

    setattr(owner, name, spilling)


def main() -> None:
    orders = Orders(Path(sys.argv[1]), Path(sys.argv[2]))
    del sys.argv[1:3]
    sites = [*SITE_CONNECT.values(), *SITE_LEASE.values(), *SITE_VERIFY.values()]
    for seam in dict.fromkeys((*CONNECT, *LEASE, *VERIFY, *chain.from_iterable(sites))):
        wrap_seam(orders, seam)
    now = SystemClock.now
    SystemClock.now = lambda self: now(self) + orders.read()["ahead"] * SECOND  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
