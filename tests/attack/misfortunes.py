"""Row 14: the disk is full or read-only, the database locked, gone or damaged, the ring open or
gone, the clock wrong: a clear word each time, nothing lost, and all goes on when it is over."""

import asyncio
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc.aio

from service.config import Settings
from service.model import DAY
from service.ring import create_ring, new_keys
from service.storage.migrations import migrate_apart
from tests.bench.seed import settings
from tests.bluesky import SandboxBluesky
from tests.postgres import Cluster
from tests.running import MovedClock, Running, refusal_of, running
from tests.test_outage import Load

from .row import Figure, Ground
from .served import Owner, sentence, serving

T = TypeVar("T")
CONNECTED = 3
MORE = 20
"""Calls that have to be acknowledged after each."""
REFUSED_SECONDS = 20.0
"""Within which a misfortune is felt: the lock of a database is waited for 5."""
LOOK_SECONDS = 8.0
"""Within which a ring that has changed is looked at."""
CALL_SECONDS = 60.0
DISK = 24 * 1024 * 1024
TEN_YEARS = 3650 * DAY
MINIMUM_CHECK = 2 * DAY
AWAY = {"SERVICE_UNAVAILABLE"}


@dataclass(frozen=True)
class Misfortune:
    """How it comes, and how it goes; raises OSError where this machine has none of the kind."""

    name: str
    come: Callable[[], object]
    go: Callable[[], object]


class Sufferer:
    """A service under load, and the store that its word is held to."""

    def __init__(self, service: Running) -> None:
        self.service = service
        self.load = Load(service)

    async def suffer(self, one: Misfortune) -> Figure:
        """What callers hear while it lasts and after it, and whether anything is lost."""
        load = self.load
        load.refusals.clear()
        load.hasty = 0
        try:
            await asyncio.to_thread(one.come)
        except (OSError, subprocess.CalledProcessError) as error:
            await asyncio.to_thread(one.go)
            return Figure(one.name, f"none to be had on this machine: {type(error).__name__}", None)
        try:
            felt = await _within(REFUSED_SECONDS, lambda: bool(load.refusals))
        finally:
            await asyncio.to_thread(one.go)
        heard = sorted(load.refusals)
        recovered = await self.recovered()
        kept = {row["profile_key"] for row in self.service.rows("SELECT profile_key FROM profiles")}
        lost = len(set(load.acknowledged) - kept)
        return Figure(
            one.name,
            f"{', '.join(heard) or 'nothing'} told, {load.hasty} without RetryInfo; "
            f"{'all went on' if recovered else '**stayed so**'} after it, without a restart; "
            f"{lost} of {len(load.acknowledged)} acknowledged lost",
            felt and set(heard) == AWAY and not load.hasty and recovered and not lost,
        )

    async def recovered(self) -> bool:
        """Whether calls are acknowledged (again), and none is refused in the end."""
        try:
            await self.load.more(MORE)
            self.load.refusals.clear()
            await self.load.more(MORE)
        except TimeoutError:
            return False
        return not self.load.refusals


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    async with SandboxBluesky.started() as sandbox:
        return [
            *await _full(ground),
            *await _file(ground, part),
            *await _postgres(ground, part),
            *await _clock(ground, sandbox),
            await _starts(ground, part),
        ]


def _some(all_: Sequence[T], part: float) -> list[T]:
    """All of them in full, else a few, others each time: most have to be waited for."""
    return list(all_) if part == 1 else random.sample(list(all_), max(1, len(all_) // 3))


async def _within(seconds: float, so: Callable[[], bool]) -> bool:
    """Whether it comes to be so."""
    try:
        async with asyncio.timeout(seconds):
            while not so():
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def _suffering(read: Settings, log: Path) -> AsyncIterator[Sufferer]:
    """A process that serves, with callers at work."""
    owner = await Owner.made(read)
    async with serving(read, log) as served, served.called(owner) as service:
        sufferer = Sufferer(service)
        async with sufferer.load.going_on():
            await sufferer.load.more(MORE)
            yield sufferer


@asynccontextmanager
async def _disk(folder: Path, owner: int = 0) -> AsyncIterator[Path]:
    """A small disk of its own; raises CalledProcessError where none can be had."""
    size = f"size={DISK},uid={owner},mode=0700"
    command = ("mount", "-t", "tmpfs", "-o", size, "postcore", str(folder))
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        await asyncio.to_thread(subprocess.run, ("umount", "-l", str(folder)), check=True)


def _fill(disk: Path) -> None:
    """Leave no room."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


async def _full(ground: Ground) -> list[Figure]:
    name = f"disk full (one of {DISK >> 20} MiB)"
    (ground.folder / "full" / "disk").mkdir(parents=True)
    try:
        async with _disk(ground.folder / "full" / "disk") as disk:
            read = settings(ground.folder / "full", f"sqlite:///{disk / 'postcore.db'}")
            async with _suffering(read, ground.folder / "full" / "log") as sufferer:
                filler = disk / "filler"
                figure = await sufferer.suffer(
                    Misfortune(name, lambda: _fill(disk), lambda: filler.unlink(missing_ok=True))
                )
            _fill(disk)
            new = settings_of(read, disk / "new.db")
            told = await sentence(new, ground.folder / "full" / "log")
            return [
                figure,
                Figure(f"{name}, at start", told or "**started**", "could not be migrated" in told),
            ]
    except (subprocess.CalledProcessError, OSError):
        return [Figure(name, "none can be mounted on this machine", None)]


def settings_of(read: Settings, file: Path) -> Settings:
    """The same on another file."""
    return read.model_copy(update={"database_url": f"sqlite:///{file}"})


async def _file(ground: Ground, part: float) -> list[Figure]:
    """What may become of a database's file, and of the ring, while it is served."""
    folder = ground.folder / "file"
    folder.mkdir()
    read = settings(folder, f"sqlite:///{folder / 'postcore.db'}")
    file, aside = read.database_file, folder / "aside"
    locker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other = folder / "other.db"
    assert await asyncio.to_thread(migrate_apart, f"sqlite:///{other}")

    def immutable(sign: str) -> None:
        files = (str(each) for each in folder.glob("postcore.db*") if each.suffix != ".serve")
        subprocess.run(("chattr", f"{sign}i", *files), check=True, capture_output=True)

    def put_in_place() -> None:
        file.rename(aside)
        shutil.copy(other, file)

    rest = bytearray()

    def cut() -> None:
        # what it holds, and not its log alone
        locker.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = file.read_bytes()
        rest[:] = content[len(content) // 2 :]
        os.truncate(file, len(content) - len(rest))

    def mend() -> None:
        with file.open("ab") as end:
            end.write(rest)

    misfortunes = (
        Misfortune("database read-only", lambda: immutable("+"), lambda: immutable("-")),
        Misfortune(
            "database locked by another process",
            lambda: locker.execute("BEGIN EXCLUSIVE"),
            lambda: locker.execute("ROLLBACK"),
        ),
        Misfortune("database moved away", lambda: file.rename(aside), lambda: aside.rename(file)),
        Misfortune("database cut in half", cut, mend),
        Misfortune("another in the database's place", put_in_place, lambda: aside.rename(file)),
    )
    log = folder / "log"
    with closing(locker):
        async with _suffering(read, log) as sufferer:
            figures = [await sufferer.suffer(one) for one in _some(misfortunes, part)]
            figures.append(await _ring(sufferer, read.keyring_file, log, part))
    return figures


async def _ring(sufferer: Sufferer, ring: Path, log: Path, part: float) -> Figure:
    """What may become of the ring while it is in use: calls go on, and the log tells."""
    whole = await asyncio.to_thread(ring.read_bytes)
    spoils = _spoils(ring)
    told = well = 0
    names = _some(list(spoils), part)
    for number, name in enumerate(names):
        spoils[name]()
        told += await _within(LOOK_SECONDS, lambda: _complaints(log) > number)  # noqa: B023
        well += await sufferer.recovered()
        _put_back(ring, whole)
    return Figure(
        f"ring {', '.join(names)}, while it is in use",
        f"told in the log {told} of {len(names)} times; calls went on {well} of {len(names)} times",
        told == well == len(names),
    )


def _complaints(log: Path) -> int:
    """How often the log tells of a ring: of one that stays as it is, at every look."""
    return log.read_text().count("ring cannot be read again")


def _spoils(ring: Path) -> dict[str, Callable[[], object]]:
    """What may become of a ring's file."""
    whole = ring.read_bytes()

    def replace() -> None:
        ring.unlink()
        create_ring(ring, new_keys("another"))

    return {
        "open to others": lambda: _put_back(ring, whole, 0o644),
        "gone": ring.unlink,
        "replaced": replace,
        "cut": lambda: _put_back(ring, whole[: len(whole) // 2]),
    }


def _put_back(ring: Path, content: bytes, mode: int = 0o600) -> None:
    draft = ring.with_name("draft")
    draft.write_bytes(content)
    draft.chmod(mode)
    draft.rename(ring)


async def _postgres(ground: Ground, part: float) -> list[Figure]:
    """What may become of the other engine's database."""
    folder = ground.folder / "postgres"
    folder.mkdir()
    cluster = await asyncio.to_thread(Cluster.started, ground.postgres, durable=True)
    try:
        name = await cluster.new_database()
        read = settings(folder, cluster.url(name))

        def sql(statement: str) -> Callable[[], None]:
            def run() -> None:
                asyncio.run(cluster.execute(statement))
                asyncio.run(
                    cluster.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        f" WHERE datname = '{name}'"
                    )
                )

            return run

        misfortunes = (
            Misfortune("PostgreSQL stopped", cluster.stop, cluster.start),
            Misfortune("PostgreSQL killed", cluster.kill, cluster.start),
            Misfortune(
                "PostgreSQL read-only",
                sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on"),
                sql(f"ALTER DATABASE {name} RESET default_transaction_read_only"),
            ),
        )
        async with _suffering(read, folder / "log") as sufferer:
            figures = [await sufferer.suffer(one) for one in _some(misfortunes, part)]
    finally:
        await asyncio.to_thread(cluster.remove)
    return figures


async def _clock(ground: Ground, sandbox: SandboxBluesky) -> list[Figure]:
    """Ten years ahead, right again, a day back, right again."""
    folder = ground.folder / "clock"
    folder.mkdir()
    file = folder / "postcore.db"
    assert await asyncio.to_thread(migrate_apart, f"sqlite:///{file}")
    clock = MovedClock()
    wrong: list[str] = []
    tries = 0
    async with running(file, sandbox.settings(), clock) as service:
        people = [await sandbox.person() for _ in range(CONNECTED)]
        keys = [
            (await service.connect(person.handle, person.app_password)).profile_key
            for person in people
        ]

        async def hold(when: str, may_wait: bool = False) -> None:
            nonlocal tries
            owner = await sandbox.person()
            once = f"once {when}"
            first, again = [
                await service.connect(
                    owner.handle, owner.app_password, idempotency_key=once, timeout=CALL_SECONDS
                )
                for _ in range(2)
            ]
            tries += 1 + 3 * len(keys)
            wrong.extend([f"{when}: another reply"] * (first != again))
            for key, person in zip(keys, people, strict=True):
                try:
                    lent = await service.lease(key, timeout=CALL_SECONDS)
                    well = lent.account_id == person.did
                except grpc.aio.AioRpcError as error:
                    well = may_wait and refusal_of(error).reason == "PLATFORM_UNAVAILABLE"
                wrong.extend([f"{when}: no lease"] * (not well))
                verdict = await service.verify(key)
                wrong.extend([f"{when}: flag raised"] * verdict.needs_reconnect)
                same = await service.connect(
                    person.handle, person.app_password, profile_key=key, timeout=CALL_SECONDS
                )
                wrong.extend([f"{when}: not connected again"] * (same.profile_key != key))

        await hold("before")
        for ahead, when in ((TEN_YEARS, "10 years ahead"), (0, "right again")):
            clock.ahead = ahead
            # tokens of the server, whose clock is right, have all ended by ours
            await hold(when, may_wait=bool(ahead))
        late = f"SELECT 1 FROM connections WHERE next_check_at > {clock.now() + MINIMUM_CHECK}"
        tries += 1
        if not await _within(REFUSED_SECONDS, lambda: not service.rows(late)):
            wrong.append("checks put off for years")
        for ahead, when in ((-DAY, "a day back"), (0, "right once more")):
            clock.ahead = ahead
            await hold(when)
    return [
        Figure(
            "clock 10 years ahead, right, a day back, right: leases, verdicts, connects, "
            "idempotency keys, budgets, checks",
            ", ".join(sorted(set(wrong))) or f"0 of {tries} wrong, no flag raised",
            not wrong,
        )
    ]


async def _starts(ground: Ground, part: float) -> Figure:
    """A start that meets any of it: no start, and a sentence."""
    folder = ground.folder / "starts"
    folder.mkdir()
    read = settings(folder, f"sqlite:///{folder / 'postcore.db'}")
    await Owner.made(read)
    async with serving(read, folder / "log") as served:
        await served.ready()
        await served.end(signal.SIGTERM)
    file, ring = read.database_file, read.keyring_file
    whole, keys = file.read_bytes(), ring.read_bytes()
    spoils: dict[str, tuple[Callable[[], object], str]] = {
        f"ring {name}": (spoil, said)
        for (name, spoil), said in zip(
            _spoils(ring).items(),
            ("is open to others", "there is no ring", "not the one that", "is not JSON"),
            strict=True,
        )
    }
    middle = len(whole) // 2

    def make_folder() -> None:
        file.unlink()
        file.mkdir()

    spoils |= {
        "database cut": (lambda: file.write_bytes(whole[:middle]), "database"),
        "no database": (lambda: file.write_bytes(b"notes " * 2000), "is not a database"),
        "a folder": (make_folder, "cannot be opened"),
    }
    wrong = []
    tried = _some(list(spoils), part)
    for name in tried:
        spoil, said = spoils[name]
        spoil()
        told = await sentence(read, folder / "log")
        if said not in told or "Traceback" in told:
            wrong.append(f"{name}: {told or 'started'}")
        if file.is_dir():
            file.rmdir()
        for each in folder.glob("postcore.db-*"):
            each.unlink()
        file.write_bytes(whole)
        _put_back(ring, keys)
    again = await sentence(read, folder / "log")
    return Figure(
        f"at start: {', '.join(tried)}",
        "; ".join(wrong) or f"{len(tried)} sentences, no start; right again: {again or 'started'}",
        not wrong and not again,
    )
