"""Row 14: disk full or read-only, database locked, gone or damaged, keyring open or gone, wrong
clock.

Each fault gives a clear message and loses no data, and the service recovers when it is over.
"""

import asyncio
import errno
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from service.settings import Settings
from service.storage.migrations import migrate_apart
from tests.attack.clocks import clock_put_wrong
from tests.attack.damaged_starts import starts
from tests.attack.keyrings import keyring_in_use
from tests.attack.load_during_fault import Fault, loaded_service, some
from tests.attack.row import Figure, Ground
from tests.attack.service_process import sentence
from tests.bench.seed import settings
from tests.support.bluesky import SandboxBluesky
from tests.support.postgres import Cluster

DISK = 24 * 1024 * 1024


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    async with SandboxBluesky.started() as sandbox:
        return [
            *[
                figure
                for full in some((_full, _postgres_full), part)
                for figure in await full(ground)
            ],
            *await _file(ground, part),
            *await _postgres(ground, part),
            *await clock_put_wrong(ground, sandbox),
            await starts(ground, part),
        ]


@asynccontextmanager
async def _disk(folder: Path) -> AsyncIterator[Path]:
    """Mount a small disk; raise CalledProcessError where this machine cannot."""
    command = ("mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "postcore", str(folder))
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        await asyncio.to_thread(subprocess.run, ("umount", "-l", str(folder)), check=True)


def _fill(disk: Path) -> None:
    """Fill the disk."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


async def _out_of_room(name: str, read: Settings, disk: Path, log: Path) -> Figure:
    """Run a service whose store is on *disk* while the disk is full."""
    filler = disk / "filler"
    async with loaded_service(read, log) as loaded:
        return await loaded.apply(
            Fault(name, lambda: _fill(disk), lambda: filler.unlink(missing_ok=True))
        )


async def _full(ground: Ground) -> list[Figure]:
    name = f"disk full (one of {DISK >> 20} MiB)"
    (ground.folder / "full" / "disk").mkdir(parents=True)
    try:
        async with _disk(ground.folder / "full" / "disk") as disk:
            read = settings(ground.folder / "full", f"sqlite:///{disk / 'postcore.db'}")
            figure = await _out_of_room(name, read, disk, ground.folder / "full" / "log")
            _fill(disk)
            new = settings_of(read, disk / "new.db")
            error = await sentence(new, ground.folder / "full" / "log")
            error = error and error.replace(str(disk), "…")
            return [
                figure,
                Figure(
                    f"{name}, at start", error or "**started**", "could not be migrated" in error
                ),
            ]
    except (subprocess.CalledProcessError, OSError):
        return [Figure(name, "none can be mounted on this machine", None)]


def settings_of(read: Settings, file: Path) -> Settings:
    """Return the same settings on another file."""
    return read.model_copy(update={"database_url": f"sqlite:///{file}"})


async def _file(ground: Ground, part: float) -> list[Figure]:
    """Damage the database's file and the keyring while the service runs."""
    folder = ground.folder / "file"
    folder.mkdir()
    read = settings(folder, f"sqlite:///{folder / 'postcore.db'}")
    file, aside = read.database_file, folder / "aside"
    locker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other = folder / "other.db"
    assert await asyncio.to_thread(migrate_apart, f"sqlite:///{other}")

    def immutable(sign: str) -> None:
        # not the -shm file, which SQLite maps: the kernel answers a write to a page of it that was
        # synced before with SIGBUS, which ends the process
        files = (str(each) for each in (file, file.with_name(f"{file.name}-wal")))
        subprocess.run(("chattr", f"{sign}i", *files), check=True, capture_output=True)

    def put_in_place() -> None:
        file.rename(aside)
        shutil.copy(other, file)

    faults = (
        Fault("database read-only", lambda: immutable("+"), lambda: immutable("-")),
        Fault(
            "database locked by another process",
            lambda: locker.execute("BEGIN EXCLUSIVE"),
            lambda: locker.execute("ROLLBACK"),
        ),
        Fault("database moved away", lambda: file.rename(aside), lambda: aside.rename(file)),
        Fault("another in the database's place", put_in_place, lambda: aside.rename(file)),
    )
    log = folder / "log"
    with closing(locker):
        async with loaded_service(read, log) as loaded:
            figures = [await loaded.apply(one) for one in some(faults, part)]
            figures.append(await keyring_in_use(loaded, read.keyring_file, log, part))
    return figures


async def _postgres(ground: Ground, part: float) -> list[Figure]:
    """Disturb the PostgreSQL database."""
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

        faults = (
            Fault("PostgreSQL stopped", cluster.stop, cluster.start),
            Fault("PostgreSQL killed", cluster.kill, cluster.start),
            Fault(
                "PostgreSQL read-only",
                sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on"),
                sql(f"ALTER DATABASE {name} RESET default_transaction_read_only"),
            ),
        )
        async with loaded_service(read, folder / "log") as loaded:
            figures = [await loaded.apply(one) for one in some(faults, part)]
    finally:
        await asyncio.to_thread(cluster.remove)
    return figures


async def _postgres_full(ground: Ground) -> list[Figure]:
    """Fill the disk of the PostgreSQL database; its log is elsewhere."""
    name = f"PostgreSQL's disk full (one of {DISK >> 20} MiB)"
    folder = ground.folder / "postgres-full"
    folder.mkdir()
    cluster = await asyncio.to_thread(Cluster.started, ground.postgres, durable=True)
    try:
        async with _disk(cluster.new_folder()) as disk:
            cluster.give(disk)
            await cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            read = settings(
                folder, cluster.url(await cluster.new_database(more="TABLESPACE small"))
            )
            return [await _out_of_room(name, read, disk, folder / "log")]
    except (subprocess.CalledProcessError, OSError):
        return [Figure(name, "none can be mounted on this machine", None)]
    finally:
        await asyncio.to_thread(cluster.remove)
