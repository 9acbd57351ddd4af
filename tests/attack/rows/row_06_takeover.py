"""Row 6: a domain or a document is taken over after its owner has connected the account.

The attacker's servers accept every login and show valid certificates for the attacker's own names.
The stored secrets are then used in every way in which the service sends them, at four times over
two days: before a document is due to be read again, twice within the ten minutes in which a move
must be noticed, and long after.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import product

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app import build as app
from service.connections import monitor
from service.domain.model import SECOND, Scope
from service.storage.migrations import migrate_apart
from tests.attack.row import Figure, Ground, share
from tests.attack.takeovers import (
    EVIL,
    EVIL_HOST,
    MALLORY,
    TAKEOVERS,
    Attacker,
    Home,
    Stolen,
    Takeover,
)
from tests.platforms.bluesky_login import OTHER_DID
from tests.platforms.web import Authority
from tests.support.running import MovedClock, Running, running

EACH_TIME = ("lease", "verify", "monitor")
WAYS = (*EACH_TIME, "disconnect", "delete the tenant", "reconnect")
AFTER = (2 * 3600 * SECOND, 5 * 60 * SECOND, 6 * 60 * SECOND, 26 * 3600 * SECOND)
LATER = 40 * 3600 * SECOND
"""Longer than all of AFTER, and short enough that the monitor does not doubt the clock."""
CHECK_TIMEOUT_SECONDS = 120
Taken = tuple[Home, Takeover, str]


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    rounds = share(10, part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "MAX_REST_SECONDS", 0.05)
        patch.setattr(monitor, "MIN_PAUSE_SECONDS", 0.0)  # retry a failing host at once
        trial = Trial(MovedClock())
        async with _world(ground, len(TAKEOVERS) * len(WAYS) * rounds) as storm:
            patch.setattr(
                app, "egress_context", lambda _, clock, leave, **__: storm.outside(clock, leave)
            )
            database = ground.folder / "postcore.db"
            assert migrate_apart(f"sqlite:///{database}")
            settings = {"CHECK_HOURS": "24", "CHECKS_PER_SECOND": "1000"}
            async with running(database, settings, trial.clock) as service:
                homes = iter(storm.homes)
                taken: list[Taken] = []
                for _ in range(rounds):
                    some = [
                        (next(homes), takeover, way) for takeover, way in product(TAKEOVERS, WAYS)
                    ]
                    await trial.run(service, storm, some)
                    taken += some
                    ground.say(f"{len(taken)} accounts taken over")
            await storm.all_hung_up()
        return trial.figures(storm, taken)


@asynccontextmanager
async def _world(ground: Ground, count: int) -> AsyncIterator[Stolen]:
    (believed := ground.folder / "believed").mkdir()
    (unknown := ground.folder / "unknown").mkdir()
    authority, another = Authority(believed), Authority(unknown)
    async with (
        Stolen.started(authority, count) as storm,
        Attacker.started(authority.context()) as evil,
        Attacker.started(another.context()) as impostor,
    ):
        storm.attackers = evil, impostor
        evil.storm = impostor.storm = storm
        storm.point(EVIL_HOST, EVIL)
        yield storm


class Trial:
    """The takeovers that were tried, by which uses, and their outcomes."""

    def __init__(self, clock: MovedClock) -> None:
        self.clock = clock
        self.asked: Counter[str] = Counter()
        self.astray = 0

    async def run(self, service: Running, storm: Stolen, taken: Sequence[Taken]) -> None:
        by_way: dict[str, list[Home]] = {way: [] for way in WAYS}
        for home, takeover, way in taken:
            home.own_server, home.web, home.dead = (
                takeover.own_server,
                takeover.web,
                bool(home.number % 2),
            )
            storm.enter(home)
            await self._connect(service, home)
            by_way[way].append(home)
            self.asked[takeover.name] += len(AFTER) if way in EACH_TIME else 1
        await self._postpone_checks(service)
        lent = {home.number: await self._lease(service, home) for home, _, _ in taken}
        for home, takeover, _ in taken:
            takeover.take(storm, home)
        for after in AFTER:
            self.clock.ahead += after
            await self._run_checks(service, by_way["monitor"])
            await asyncio.gather(
                *(self._lease(service, home, lent[home.number]) for home in by_way["lease"]),
                *(self._verify(service, home) for home in by_way["verify"]),
            )
        for home in by_way["disconnect"]:
            await service.profiles.DisconnectPlatform(
                pb.DisconnectPlatformRequest(profile_key=home.profile_key, platform="bluesky"),
                metadata=service.metadata(home.keys[0]),
                timeout=30,
            )
        for home in by_way["delete the tenant"]:
            async with app.build(service.settings, clock=self.clock) as built:
                assert await built.profiles.delete_tenant(home.tenant_id)
        for home in by_way["reconnect"]:
            await self._reconnect(service, home)
        wrong = "SELECT COUNT(*) AS number FROM connections WHERE account_id = ?"
        self.astray += service.rows(wrong, OTHER_DID)[0]["number"]

    async def _connect(self, service: Running, home: Home) -> None:
        home.tenant_id = await service.new_tenant()
        home.keys = (
            (await service.new_key(tenant_id=home.tenant_id))[0],
            (await service.new_key(Scope.SESSIONS_LEASE, tenant_id=home.tenant_id))[0],
        )
        reply = await service.connect(home.handle, home.password, api_key=home.keys[0], timeout=30)
        home.profile_key = reply.profile_key

    async def _lease(self, service: Running, home: Home, rejected: str = "") -> str:
        """Return the token that is lent; empty if none is."""
        try:
            lent = await service.lease(
                home.profile_key, rejected=rejected, api_key=home.keys[1], timeout=30
            )
        except grpc.aio.AioRpcError:
            return ""
        self.astray += lent.access_token not in home.tokens
        return lent.access_token

    async def _verify(self, service: Running, home: Home) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await service.profiles.VerifyConnection(
                pb.VerifyConnectionRequest(profile_key=home.profile_key, platform="bluesky"),
                metadata=service.metadata(home.keys[0]),
                timeout=30,
            )

    async def _postpone_checks(self, service: Running) -> None:
        """Make no check due."""
        later = self.clock.now() + LATER
        await service.execute("UPDATE connections SET next_check_at = ?", later)

    async def _run_checks(self, service: Running, homes: Sequence[Home]) -> None:
        """Let the monitor check them."""
        await self._postpone_checks(service)
        now = self.clock.now()
        for home in homes:
            await service.execute(
                "UPDATE connections SET next_check_at = 1 WHERE profile_key = ?", home.profile_key
            )
        keys = {home.profile_key for home in homes}
        checked = "SELECT profile_key FROM connections WHERE checked_at >= ?"
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            while not keys <= {row["profile_key"] for row in service.rows(checked, now)}:
                await asyncio.sleep(0.02)

    async def _reconnect(self, service: Running, home: Home) -> None:
        """Reconnect as the attacker, in the owner's profile and in one of their own."""
        for profile_key in (home.profile_key, None):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await service.connect(
                    home.handle,
                    MALLORY,
                    profile_key=profile_key,
                    api_key=home.keys[0],
                    timeout=30,
                )

    def figures(self, storm: Stolen, taken: Sequence[Taken]) -> list[Figure]:
        secret_of = {
            secret: takeover.name for home, takeover, _ in taken for secret in home.secrets
        }
        brought: Counter[str] = Counter()
        own = 0
        for attacker in storm.attackers:
            brought += attacker.brought(secret_of)
            own += attacker.brought({MALLORY: ""}).total()
        return [
            *(
                Figure(
                    f"{name}: requests to the attacker with a stored secret",
                    f"{brought[name]}, asked {asked} times",
                    brought[name] == 0 < asked,
                )
                for name, asked in self.asked.items()
            ),
            Figure("of another account: stored or lent", f"{self.astray}", self.astray == 0),
            Figure("requests with the attacker's own password", f"{own}", own > 0),
        ]
