"""SQLite: one writer with group commit, a few readers in threads, and one reader on the loop.

The reader on the loop serves `get_by_key`: finding a few rows by key takes a tenth of the time of
a hop to a thread and back.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite
import structlog

from service.domain.errors import ServiceUnavailable
from service.storage.engine import Row, Statement, StoreError, Transaction, Usage
from service.storage.sqlite_file import identity

T = TypeVar("T")
READERS = 2
MAX_WAITING_JOBS = 1000
MAX_JOBS_PER_COMMIT = 100
CLOSE_SECONDS = 10

# the root file system of a container may be read-only
_NO_TEMPORARY_FILES = "PRAGMA temp_store = MEMORY"
_WRITER = (
    _NO_TEMPORARY_FILES,
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
    # wait for the lock of another command that writes to the same file
    "PRAGMA busy_timeout = 5000",
)
# drops cached pages, so that a repaired file is read again
_DROP_CACHE = "PRAGMA shrink_memory"
_READER = (_NO_TEMPORARY_FILES, "PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000")
# never blocks the loop: if the file is locked, a reader's thread waits instead
_LOOP_READER = (
    _NO_TEMPORARY_FILES,
    "PRAGMA query_only = ON",
    "PRAGMA busy_timeout = 0",
    # KiB: holds the hot pages of a large file
    "PRAGMA cache_size = -16384",
)

log = structlog.get_logger()


class FileGone(Exception):
    """The file was moved, deleted or replaced: writes to it would be lost."""


class SqliteEngine:
    """Implements `Engine` on one SQLite file with the newest schema (HEAD).

    This process is the only server of the file. Other commands may write to it too.
    """

    def __init__(
        self,
        path: Path,
        writer: aiosqlite.Connection,
        readers: list[aiosqlite.Connection],
        loop_reader: sqlite3.Connection,
    ) -> None:
        self._path = path.absolute()
        self._file = identity(self._path)
        self._writer = writer
        self._readers = readers
        self._turns = cycle(readers)
        self._loop_reader = loop_reader
        self.read_elsewhere = self.read
        """What get_by_key calls where the event loop cannot read."""
        self._after_commit: list[Callable[[], None]] = []
        self._waiting: asyncio.Queue[_Job[Any] | None] = asyncio.Queue(MAX_WAITING_JOBS)
        self._writer_task = asyncio.create_task(self._write_all())

    @classmethod
    async def open(cls, path: Path) -> "SqliteEngine":
        """Open the file. Raises StoreError."""
        connections: list[aiosqlite.Connection] = []
        try:
            for pragmas in (_WRITER, *([_READER] * READERS)):
                connection = await aiosqlite.connect(path, isolation_level=None)
                connections.append(connection)
                connection.row_factory = sqlite3.Row
                for pragma in pragmas:
                    await connection.execute_fetchall(pragma)
            loop_reader = _open_loop_reader(path)
        except BaseException as error:  # including a cancelled start
            for connection in connections:
                await connection.close()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"the database {path} cannot be opened") from None
            raise
        return cls(path, connections[0], connections[1:], loop_reader)

    async def read(self, statement: str, *parameters: object) -> Sequence[Row]:
        reader = next(self._turns)
        try:
            return await _run(reader, statement, parameters)
        except (sqlite3.DatabaseError, ValueError) as error:
            # ValueError: the connection is closed
            if isinstance(error, ValueError) or _is_unavailable(error):
                if _is_damage(error):
                    with suppress(sqlite3.Error):
                        await reader.execute_fetchall(_DROP_CACHE)
                raise ServiceUnavailable(type(error).__name__) from None
            raise

    async def get_by_key(self, statement: str, *parameters: object) -> Sequence[Row]:
        try:
            return self._loop_reader.execute(_numbered(statement), parameters).fetchall()
        except sqlite3.Error as error:
            if _is_damage(error):
                with suppress(sqlite3.Error):
                    self._loop_reader.execute(_DROP_CACHE)
            return await self.read_elsewhere(statement, *parameters)

    async def read_settled(self, table: str, statement: str, *parameters: object) -> Sequence[Row]:
        # one transaction writes at a time, and numbers its rows while it has the file's lock
        return await self.read(statement, *parameters)

    async def write(self, job: Callable[[Transaction], Awaitable[T]], turn: str = "") -> T:
        waiting = _Job(job)
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            raise ServiceUnavailable("writers_waiting") from None
        return await waiting.done

    def on_commit(self, call: Callable[[], None]) -> None:
        self._after_commit.append(call)

    def usage(self) -> Usage:
        return Usage(self._waiting.qsize())

    async def close(self) -> None:
        await self._waiting.put(None)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._writer_task, CLOSE_SECONDS)
        self._loop_reader.close()
        for connection in (*self._readers, self._writer):
            await connection.close()

    async def _write_all(self) -> None:
        open_ = True
        while open_:
            jobs: list[_Job[Any]] = []
            first = await self._waiting.get()
            while first is not None:
                jobs.append(first)
                if len(jobs) == MAX_JOBS_PER_COMMIT or self._waiting.empty():
                    break
                first = self._waiting.get_nowait()
            open_ = first is not None
            wanted = [job for job in jobs if not job.done.cancelled()]
            if wanted:
                await self._commit(wanted)

    async def _commit(self, jobs: list["_Job[Any]"]) -> None:
        try:
            await self._run("BEGIN IMMEDIATE")
            for job in jobs:
                await self._attempt(job)
            if identity(self._path) != self._file:
                raise FileGone
            await self._run("COMMIT")
        except Exception as error:
            # nothing of the batch is durable: every job of it fails
            with suppress(sqlite3.Error, ValueError):
                await self._run("ROLLBACK")
            if _is_damage(error):
                await self._run(_DROP_CACHE)
            for job in jobs:
                job.fail(ServiceUnavailable(type(error).__name__))
            if _is_unavailable(error):
                self._fail_waiting(type(error).__name__)
        else:
            for job in jobs:
                job.settle()
            for call in self._after_commit:
                call()

    def _fail_waiting(self, why: str) -> None:
        """Fail the queued jobs. Otherwise each would wait for the unusable file as this one did."""
        for _ in range(self._waiting.qsize()):
            job = self._waiting.get_nowait()
            if job is None:
                self._waiting.put_nowait(job)  # the mark that ends the loop stays queued
            else:
                job.fail(ServiceUnavailable(why))

    async def _attempt(self, job: "_Job[Any]") -> None:
        """Run *job* within a savepoint: a failure undoes its own statements only."""
        await self._run("SAVEPOINT job")
        try:
            job.result = await job.work(SqliteTransaction(self._writer))
        except sqlite3.IntegrityError as error:
            name = type(error).__name__
            # a bug: with one writer there is no race. Its text is not logged: it may hold values
            log.error("constraint violated", exception=name)
            job.error = ServiceUnavailable(name)
            await self._run("ROLLBACK TO job")
        except Exception as error:
            if _is_unavailable(error):
                raise
            job.error = error
            await self._run("ROLLBACK TO job")
        await self._run("RELEASE job")

    async def _run(self, statement: str) -> None:
        await self._writer.execute_fetchall(statement)


class _Job(Generic[T]):
    """A queued transaction, and the future of its result."""

    def __init__(self, work: Callable[[Transaction], Awaitable[T]]) -> None:
        self.work = work
        self.done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.result: T | None = None
        self.error: Exception | None = None

    def settle(self) -> None:
        if self.done.cancelled():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type]

    def fail(self, error: Exception) -> None:
        if not self.done.cancelled():
            self.done.set_exception(error)


def _open_loop_reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in _LOOP_READER:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_unavailable(error: Exception) -> bool:
    """Whether the file cannot be used."""
    return isinstance(error, sqlite3.OperationalError) or _is_damage(error)


def _is_damage(error: Exception) -> bool:
    """Whether the file is damaged. sqlite3 then raises DatabaseError itself, not a subclass."""
    return type(error) is sqlite3.DatabaseError


class SqliteTransaction:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def run(self, statement: str, *parameters: object) -> Sequence[Row]:
        return await _run(self._connection, statement, parameters)

    async def run_together(self, *statements: Statement) -> Sequence[Row]:
        first, *_ = [await self.run(*statement) for statement in statements]
        return first


async def _run(
    connection: aiosqlite.Connection, statement: str, parameters: tuple[object, ...]
) -> Sequence[Row]:
    return list(await connection.execute_fetchall(_numbered(statement), parameters))


@lru_cache(256)
def _numbered(statement: str) -> str:
    """Replace `$1`, which is a name in SQLite, by `?1`."""
    return statement.replace("$", "?")
