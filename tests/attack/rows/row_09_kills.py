"""Row 9: kill -9 at any moment under load keeps acknowledged changes, and leaves none half done."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

from service.sandbox.server import SandboxServer
from service.sandbox.world import World
from service.settings import Settings
from tests.attack.after_kill import HALVES, Remains, remains_of
from tests.attack.crowd import SAME, TOO_OLD, Crowd
from tests.attack.row import Figure, Ground, share
from tests.attack.service_process import Ended, Owner, Served, serving
from tests.bench.seed import settings
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import rows
from tests.support.failpoints import SEAMS, WHEN

KILLS = 200
NAMED = 0.7
"""The part of the kills at failpoints; the others are at random moments."""
SERVED = tuple(seam for seam in SEAMS if seam != "store.delete_part_of_tenant")
"""The seams that a server reaches; only a command deletes a tenant."""
LATEST_CALL = 12
"""The last call of a seam that a kill picks, counted from the start."""
UPKEEP = {
    *("store.claim", "platform.refresh", "platform.resolve_account", "platform.account_status"),
    *("platform.log_in_again", "store.save_session", "store.save_verdict"),
}
"""Seams that a process reaches only a few times, with the upkeep due at its start."""
FIRST_CONNECTS = 24
"""Connects before the first kill."""
REACHED_SECONDS = 40.0
AHEAD = 115 * 60
"""Seconds by which each process's clock is ahead of the one before: sessions are due for
refresh."""
CHANGES = ("ConnectProfile", "CreateProfile", "DisconnectPlatform", "DeleteProfile")
NO_BUDGET = dict.fromkeys(
    ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "1000000,1000000"
)


@dataclass
class Seen:
    """The results of all kills so far."""

    named: int = 0
    random: int = 0
    before_calls: int = 0
    unreached: list[str] = field(default_factory=list)
    unstarted: int = 0
    unsound: int = 0
    opened: int = 0
    lost: list[str] = field(default_factory=list)
    halves: Counter[str] = field(default_factory=Counter)
    unasked: set[str] = field(default_factory=set)
    again: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.named + self.random


class Kills:
    """One database, a process that serves from it until it is killed, and a crowd of callers."""

    def __init__(self, ground: Ground, read: Settings, crowd: Crowd, owner: Owner) -> None:
        self._ground = ground
        self._read = read
        self._crowd = crowd
        self._owner = owner
        self._chance = Random()
        self._strangers: set[str] = set()
        self._start_seconds = 1.0
        self.log = ground.folder / "log"
        self.seen = Seen()

    async def begin(self) -> None:
        """Create profiles and connections to lose."""
        async with self._started() as served:
            calling = asyncio.create_task(self._call(served))
            async with asyncio.timeout(REACHED_SECONDS):
                while self._crowd.count(["ConnectProfile"]) < FIRST_CONNECTS:
                    await asyncio.sleep(0.01)
                await served.end(signal.SIGKILL)
                await calling

    async def at_seam(self, when: str, seam: str, ahead: float) -> None:
        """Start, and call until the seam kills the process."""
        call = self._chance.randint(1, 2 if seam in UPKEEP else LATEST_CALL)
        arguments = (when, seam, "--call", str(call), "--ahead", str(ahead))
        async with self._started(*arguments) as served:
            try:
                async with asyncio.timeout(REACHED_SECONDS):
                    await self._call(served)
                    await served.process.wait()
            except Ended:
                if served.process.returncode != -signal.SIGKILL:
                    self.seen.unstarted += 1
            except TimeoutError:
                self.seen.unreached.append(f"{when} {seam}")
                await served.end(signal.SIGKILL)
        self.seen.named += 1
        self._inspect(f"{when} {seam}")

    async def at_random(self, ahead: float) -> None:
        """Start, and kill at a random moment, possibly before calls are taken."""
        async with self._started("--ahead", str(ahead)) as served:
            calling = asyncio.create_task(self._call(served))
            await asyncio.sleep(self._chance.uniform(0, 2 * self._start_seconds))
            if served.process.returncode is not None:
                self.seen.unstarted += 1
            await served.end(signal.SIGKILL)
            try:
                async with asyncio.timeout(REACHED_SECONDS):
                    await calling
            except Ended:
                self.seen.before_calls += 1
        self.seen.random += 1
        self._inspect("at random")

    @asynccontextmanager
    async def _started(self, *arguments: str) -> AsyncIterator[Served]:
        module = ("tests.support.failpoints", *arguments, "--", "serve")
        async with serving(self._read, self.log, module) as served:
            yield served

    async def _call(self, served: Served) -> None:
        """Repeat the calls that were cut off, then answered ones by their keys, then make new
        calls."""
        begun = monotonic()
        async with served.called(self._owner) as service:
            self._start_seconds = monotonic() - begun
            if not await self._crowd.settle(service):
                return
            # every caller in doubt has its answer by now
            self.seen.unasked |= self._strangers - self._crowd.profiles()
            self.seen.again += await self._crowd.ask_again(service)
            await self._crowd.make_calls(service)

    def _inspect(self, how: str) -> None:
        remains: Remains = remains_of(self._read, self._crowd, self._ground.folder / "remains")
        self._strangers = remains.strangers
        self.seen.opened += remains.opened
        self.seen.unsound += not remains.sound
        self.seen.halves += remains.halves
        self.seen.lost += remains.lost
        wrong = [*remains.lost, *(+remains.halves)]
        if wrong or not remains.sound:
            self._ground.say(f"killed {how}: {wrong or 'unsound'}")

    async def end(self) -> Counter[str]:
        """Run once more without a kill and stop; return the leases in the audit."""
        async with self._started() as served:
            async with served.called(self._owner) as service:
                assert await self._crowd.settle(service)
                self.seen.unasked |= self._strangers - self._crowd.profiles()
            await served.end(signal.SIGTERM)
        self._inspect("no more")
        self.seen.unasked |= self._strangers
        found = rows(self._read.database_url, "SELECT profile_key FROM audit WHERE lent <> ''")
        return Counter(row["profile_key"] for row in found)


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    ahead = 0.0
    kills = share(KILLS, part)
    server = SandboxServer(World(now=lambda: time.time() + ahead))
    await server.start()
    try:
        sandbox = SandboxBluesky(server)
        read = settings(
            ground.folder,
            f"sqlite:///{ground.folder / 'postcore.db'}",
            {**sandbox.settings(), **NO_BUDGET, "EVENT_RETENTION_DAYS": "3650"},
        )
        chance = Random()
        crowd = await Crowd.created(sandbox, chance)
        attacked = Kills(ground, read, crowd, await Owner.made(read))
        await attacked.begin()
        for number, place in enumerate(_places(kills, chance)):
            ahead += AHEAD
            crowd.end_some_sessions()
            if place is None:
                await attacked.at_random(ahead)
            else:
                await attacked.at_seam(*place, ahead)
            if number % 10 == 9:
                ground.say(f"{number + 1} of {kills} kills")
        audited = await attacked.end()
    finally:
        await server.stop()
    return _figures(kills, attacked, crowd, audited)


def _places(kills: int, chance: Random) -> list[tuple[str, str] | None]:
    """Return the kill points in random order; None is a random moment."""
    every = [(when, seam) for seam in SERVED for when in WHEN]
    named = round(kills * NAMED)
    places: list[tuple[str, str] | None] = [None] * (kills - named)
    while named > len(every):
        places += every
        named -= len(every)
    places += chance.sample(every, named)
    chance.shuffle(places)
    return places


def _logged(log: Path) -> Counter[str]:
    """Count the leases in the log, by profile."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return Counter(line["profile"] for line in lines if line["event"] == "lease")


def _figures(kills: int, attacked: Kills, crowd: Crowd, audited: Counter[str]) -> list[Figure]:
    seen = attacked.seen
    asked_again = seen.again.total() - seen.again[TOO_OLD]
    changes = crowd.count(CHANGES)
    logged = _logged(attacked.log)
    leases = sum((caller.leases for caller in crowd.callers), Counter[str]())
    refused = sum((caller.refused for caller in crowd.callers), Counter[str]())
    halves = sum(seen.halves.values())
    unstarted = seen.unstarted + len(seen.unreached)
    untold = sum((leases - logged).values())
    twice = sum((audited - logged).values())
    return [
        Figure(
            "kill -9 under load",
            f"{seen.kills}: {seen.named} at {len(SERVED) * len(WHEN)} failpoints, {seen.random} at "
            f"random, {seen.before_calls} of these before calls were taken; not as meant: "
            f"{unstarted}{''.join(f', {each}' for each in seen.unreached)}",
            seen.kills == kills and unstarted == 0,
        ),
        Figure(
            "acknowledged connects, creates, disconnects, deletes lost",
            f"{len(seen.lost)} of {changes}",
            not seen.lost and changes >= kills,
        ),
        Figure(
            f"rows without the rows that belong to them, of {len(HALVES)} kinds, after each kill",
            ", ".join(+seen.halves) or "0",
            halves == 0,
        ),
        Figure("profiles that no reply named", f"{len(seen.unasked)}", not seen.unasked),
        Figure(
            "SQLite's own checks, foreign keys among them",
            f"passed by {seen.kills + 1 - seen.unsound} of {seen.kills + 1}",
            seen.unsound == 0,
        ),
        # a secret that does not open ends the attack
        Figure("sealed rows opened after each kill", f"all {seen.opened}", seen.opened > 0),
        Figure(
            "repeated idempotency keys with the same reply and without a login",
            f"{seen.again[SAME]} of {asked_again}"
            + "".join(f", {how}: {count}" for how, count in seen.again.items() if how != SAME),
            seen.again[SAME] == asked_again > 0,
        ),
        Figure(
            "acknowledged leases missing from audit and log; recorded twice",
            f"{untold}, {twice} of {sum(leases.values())}",
            untold == twice == 0 < sum(leases.values()),
        ),
        Figure(
            "calls refused for other reasons than the kills",
            ", ".join(f"{count} {why}" for why, count in refused.items()) or "0",
            not refused,
        ),
    ]
