"""Row 2: a sealed secret is moved, cut or flipped, or the columns beside it are edited.

The database is edited beside the running service, with one tampering for each connection; each
connection is then leased from, verified, and checked by the monitor. The vault must not open an
envelope that was tampered with or moved. An edited origin leads to a listener that the operator
trusts, so that only the vault keeps a secret from it.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import Any

import grpc.aio
import pytest
from structlog.testing import capture_logs

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.startup import open_store
from service.connections import monitor
from service.crypto.keyring import Keyring
from service.crypto.rewrap import FIRST
from service.crypto.vault import Vault
from service.domain.clock import SystemClock
from service.domain.model import DAY, Scope
from service.domain.records import Purpose
from service.platforms.registry import ADAPTERS
from service.sandbox.sites import SITES
from service.sandbox.sites.ghost import GhostSite
from service.sandbox.sites.site import Site
from service.storage.migrations import migrate_apart
from tests.attack import webhook_tamperings
from tests.attack.hosted_sites import connected, entry, started
from tests.attack.opened_secrets import Place, There, Watched
from tests.attack.row import Figure, Ground
from tests.attack.tamperings import KINDS, SECOND, Change, every
from tests.attack.victim import SECRETS, Victim
from tests.platforms.raw import RawServer
from tests.support.bluesky import SandboxBluesky
from tests.support.live_changes import done, people
from tests.support.running import Running, running

PLATFORMS = 4
CONNECTIONS = 16
"""Connections at a time, by turns of the platforms; the monitor delays more than these at one
host."""
WAYS = ("lease", "verify", "monitor")
TABLES = ("profiles", "connections", "credentials", "sessions")
ALARMING = ("error", "critical")
CHECK_TIMEOUT_SECONDS = 60
LEASING = Scope.SESSIONS_LEASE, Scope.CREDENTIALS_LEASE
UNLIMITED = dict.fromkeys(
    ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "1000000,1000000"
)


def _second(adapter: Any) -> Any:
    """Return a second platform of the same kind, as the target of moved connections."""
    card = replace(adapter.card, platform=f"{SECOND}{adapter.card.platform}")
    return type("Second", (adapter,), {"card": card})


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "MAX_REST_SECONDS", 0.05)
        patch.setattr("service.app.build.ADAPTERS", (*ADAPTERS, *map(_second, ADAPTERS)))
        watched = Watched(patch)
        async with _trial(ground, watched) as trial:
            changes = every(part, trial.victims[:PLATFORMS])
            for kind in KINDS:
                some = [change for change in changes if change.kind == kind]
                for batch in _batches(some, trial.victims):
                    for way in WAYS:
                        await trial.apply(batch, way)
                ground.say(f"{kind}: {trial.tried[kind]}")
            figures = trial.figures()
    ground.say("webhooks")
    return [*figures, await webhook_tamperings.attack_webhooks(ground.folder, part)]


def _batches(
    changes: Sequence[Change], victims: Sequence[Victim]
) -> Iterator[list[tuple[Victim, Change]]]:
    """Yield each change once, with a connection to its platform."""
    waiting = {victim.platform: deque[Change]() for victim in victims}
    for change in changes:
        waiting[change.platform].append(change)
    while any(waiting.values()):
        yield [
            (victim, waiting[victim.platform].popleft())
            for victim in victims
            if waiting[victim.platform]
        ]


@asynccontextmanager
async def _trial(ground: Ground, watched: Watched) -> AsyncIterator["Trial"]:
    database = ground.folder / "postcore.db"
    assert migrate_apart(f"sqlite:///{database}")
    async with (
        SandboxBluesky.started() as sandbox,
        RawServer.started() as listener,
        AsyncExitStack() as stack,
    ):
        sites = [await _own(kind, stack) for kind in SITES * (CONNECTIONS // PLATFORMS)]
        origins = sandbox.origin, listener.origin, *(site.origin for site in sites)
        settings = {
            **sandbox.settings(),
            **UNLIMITED,
            "TRUSTED_ORIGINS": ",".join(origins),
            "CHECKS_PER_SECOND": "1000",
            "AT_ONCE_PER_TENANT": "1000",
            "CHECK_HOURS": "24",
        }
        with capture_logs() as lines:
            async with running(database, settings) as service:
                keyed = await _connected(service, sandbox, sites)
                yield await Trial.of(service, keyed, listener, watched, lines)


async def _own(kind: type[Site], stack: AsyncExitStack) -> Site:
    """Start a stand-in whose account is no other's."""
    site = await started(kind, stack)
    if isinstance(site, GhostSite):
        site.uuid = f"site-{site.origin.rpartition(':')[2]}"
    return site


async def _connected(service: Running, sandbox: SandboxBluesky, sites: Sequence[Site]) -> list[str]:
    """Return the profiles of CONNECTIONS accounts, by turns of the platforms."""
    profiles = []
    waiting = iter(sites)
    for _ in range(CONNECTIONS // PLATFORMS):
        profiles += list(await people(service, sandbox, 1))
        for _ in range(PLATFORMS - 1):
            profiles.append(await connected(service, entry(next(waiting))))
    return profiles


class Trial:
    """The connections of `victims`, and the outcome of each tampering."""

    def __init__(
        self,
        service: Running,
        listener: RawServer,
        watched: Watched,
        lines: Sequence[Any],
        victims: Sequence[Victim],
        keys: dict[str, tuple[str, str]],
    ) -> None:
        self.victims = victims
        self.tried: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()
        self._service = service
        self._listener = listener
        self._watched = watched
        self._lines = lines
        self._keys = keys
        self._rows = {table: service.rows(f"SELECT * FROM {table}") for table in TABLES}

    @classmethod
    async def of(
        cls,
        service: Running,
        keyed: Sequence[str],
        listener: RawServer,
        watched: Watched,
        lines: Sequence[Any],
    ) -> "Trial":
        """Create the connections; their sessions and passwords use different keys of the
        keyring."""
        added = await done(service, "keyring", "add")
        await done(service, "keyring", "activate", added, "--at-once")
        vault = Vault(Keyring(service.settings.keyring_file))
        async with open_store(service.settings) as store:
            found = await store.secrets.sealed_otherwise(Purpose.SESSION, added, FIRST, CONNECTIONS)
            await store.secrets.replace_unchanged(
                [(one, vault.rewrap(one.sealed, one.purpose, one.address)) for one in found]
            )
        other = await service.new_tenant()
        keys = {
            tenant: (
                (await service.new_key(tenant_id=tenant))[0],
                (await service.new_key(*LEASING, tenant_id=tenant))[0],
            )
            for tenant in (service.tenant_id, other)
        }
        victims = [
            Victim.read(
                service, key, keyed[number - PLATFORMS], keyed[number - 1], other, listener.origin
            )
            for number, key in enumerate(keyed)
        ]
        return cls(service, listener, watched, lines, victims, keys)

    async def apply(self, tampered: Sequence[tuple[Victim, Change]], way: str) -> None:
        """Apply each change to its connection, then use the connection by *way*."""
        sealed = await asyncio.to_thread(self._tamper, tampered, way)
        self._watched.opened.clear()
        before = len(self._lines)
        await getattr(self, way)([change.asked(victim) for victim, change in tampered])
        lines = [line for line in self._lines[before:] if line["log_level"] in ALARMING]
        # an envelope without a valid format is reported by the call or the check
        odd = sum(line["event"] in ("call failed", "check failed") for line in lines)
        for (_, change), there in zip(tampered, sealed, strict=True):
            self.tried[change.kind] += 1
            self.opened[change.kind] += not there.sealed.isdisjoint(self._watched.opened)
            alarmed = any(there.is_alarm(line) for line in lines)
            if not alarmed and odd:
                odd, alarmed = odd - 1, True
            self.alarms[change.kind] += alarmed

    async def lease(self, places: Sequence[Place]) -> None:
        async def one(tenant: str, profile: str, platform: str) -> None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._service.lease(
                    profile, platform=platform, api_key=self._keys[tenant][1], timeout=30
                )

        await asyncio.gather(*(one(*place) for place in places))

    async def verify(self, places: Sequence[Place]) -> None:
        async def one(tenant: str, profile: str, platform: str) -> None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._service.profiles.VerifyConnection(
                    pb.VerifyConnectionRequest(profile_key=profile, platform=platform),
                    metadata=self._service.metadata(self._keys[tenant][0]),
                    timeout=30,
                )

        await asyncio.gather(*(one(*place) for place in places))

    async def monitor(self, places: Sequence[Place]) -> None:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            for _ in places:
                await self._watched.ended.acquire()

    def figures(self) -> list[Figure]:
        figures = [
            Figure(
                f"{kind}: opened, of leases, verdicts and rounds",
                f"{self.opened[kind]} of {self.tried[kind]}",
                self.opened[kind] == 0 < self.tried[kind],
            )
            for kind in KINDS
        ]
        tried, alarms = self.tried.total(), self.alarms.total()
        return [
            *figures,
            Figure("alarms in the log", f"{alarms} for {tried}", alarms == tried),
            Figure(
                "connections to the origin of an edited row",
                f"{self._listener.connections}",
                self._listener.connections == 0,
            ),
        ]

    def _tamper(self, tampered: Sequence[tuple[Victim, Change]], way: str) -> list[There]:
        """Restore all rows, then tamper with the selected ones; return their new state."""
        left = []
        with closing(sqlite3.connect(self._service.database, isolation_level=None)) as database:
            for statement in ("PRAGMA busy_timeout = 20000", "PRAGMA synchronous = OFF"):
                database.execute(statement)
            database.execute("BEGIN IMMEDIATE")
            for table, rows in self._rows.items():
                database.execute(f"DELETE FROM {table}")
                names = ", ".join(rows[0])
                marks = ", ".join("?" * len(rows[0]))
                database.executemany(
                    f"INSERT INTO {table} ({names}) VALUES ({marks})",
                    [tuple(row.values()) for row in rows],
                )
            later = SystemClock().now() + DAY
            database.execute("UPDATE connections SET next_check_at = ?", (later,))
            for victim, change in tampered:
                for statement, parameters in change.edit(victim):
                    database.execute(statement, parameters)
                where = "WHERE tenant_id = ? AND profile_key = ? AND platform = ?"
                place = change.asked(victim)
                if way == "monitor":
                    database.execute(f"UPDATE connections SET next_check_at = 1 {where}", place)
                if way == "lease" and Purpose.SESSION not in change.touched:
                    # so that the session fails and the password is used
                    database.execute(f"UPDATE sessions SET envelope = x'01' {where}", place)
                found = [
                    (purpose, *row)
                    for purpose in change.touched
                    for row in database.execute(
                        f"SELECT envelope, ring_key_id FROM {SECRETS[purpose]} {where}", place
                    )
                ]
                left.append(There(place, found))
            database.execute("COMMIT")
        return left
