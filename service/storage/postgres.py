"""PostgreSQL: a pool of connections. Writes are serializable, and retried after a conflict."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import asyncpg
import structlog

from service.domain.errors import ServiceUnavailable
from service.runtime import pauses
from service.storage.engine import Row, Statement, StoreError, Transaction, Usage
from service.storage.migrations import known

T = TypeVar("T")
MAX_CALLS = 1000
MAX_ATTEMPTS = 50
MAX_VIOLATIONS = 6
"""Constraint violations in the retries of one write. A race causes a few, a bug one per retry."""
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.001, 0.1
CONNECT_SECONDS = 3
WAIT_SECONDS = 5
"""Time limit to get a connection from the pool."""
STATEMENT_SECONDS = 5
WRITE_SECONDS = 10
"""Time limit of one write, with all its attempts."""
CLOSE_SECONDS = 10
LOCK_SECONDS = 2
"""To wait for the lock of `read_settled`: writes queue behind it."""

NAME = "the database of POSTCORE_DATABASE_URL"
"""No part of the URL is ever logged: in a malformed one, the password may stand anywhere."""

_SESSION = {
    "application_name": "postcore",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    # a process that hangs in a transaction loses its row locks
    "idle_in_transaction_session_timeout": f"{WRITE_SECONDS}s",
    # a sequential scan of a small table conflicts with every write to it; an index scan does not
    "enable_seqscan": "off",
    # no compiling and no worker processes for plans that are estimated to be large
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # generic plans: one per statement, on the intended index, for all parameters
    "plan_cache_mode": "force_generic_plan",
}

# the database is down, full or shutting down, or rejects our login; the statement is valid
_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.FatalPostgresError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.SnapshotTooOldError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
# the transaction was rolled back by a conflict
_CONFLICT = (
    asyncpg.TransactionRollbackError,  # serialization and deadlock
    asyncpg.LockNotAvailableError,
    # a migration ran meanwhile
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
# the connection leads to a server or session that changed since it was made; nothing was written
_STALE = (
    asyncpg.ReadOnlySQLTransactionError,  # the server is a standby, or was one at connect
    asyncpg.InvalidSQLStatementNameError,  # a pooler has replaced the session
)
# the driver may be left in the middle of a statement
_CUT_SHORT = (asyncio.CancelledError, TimeoutError, asyncpg.DataError, asyncpg.InterfaceError)

_PARAMETER = re.compile(r"\$([0-9]+)")

log = structlog.get_logger()


async def schema_revision(url: str) -> str | None:
    """Return the schema's revision, None if there is none yet. Raises StoreError."""
    with _as_store_error():
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=10)
        try:
            found = await connection.fetchrow(
                "SELECT current_setting('server_encoding') AS encoding,"
                " current_setting('transaction_read_only') AS read_only"
            )
            if found["encoding"] != "UTF8":
                raise StoreError(f"{NAME} has another encoding than UTF8; make a new one")
            if found["read_only"] != "off":
                raise StoreError(f"{NAME} is read-only; name the one that takes writes")
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            return None
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    return revision and known(revision, NAME)


class PostgresEngine:
    """Implements the port `Engine` on PostgreSQL, with the schema of the newest migration (HEAD).

    Several processes may share the database.
    """

    def __init__(self, pool: "asyncpg.Pool", size: int) -> None:
        self._pool = pool
        self._after_commit: list[Callable[[], None]] = []
        self._asked = self._conflicts = 0
        # the other half of the connections is left for reads
        self._writers = asyncio.Semaphore(max(1, size // 2))
        self._one_by_one = asyncio.Lock()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    async def open(cls, url: str, size: int) -> "PostgresEngine":
        """Open a pool of at most *size* connections, each made when needed. Raises StoreError."""
        with _as_store_error():
            pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=size,
                timeout=CONNECT_SECONDS,
                # the server's own time-out fires first
                command_timeout=STATEMENT_SECONDS + 2,
                server_settings=_SESSION,
                statement_cache_size=500,
                max_cached_statement_lifetime=0,
                reset=_no_reset,
            )
        return cls(pool, size)

    async def read(self, statement: str, *parameters: object) -> Sequence[Row]:
        with self._under_way():
            try:
                return await self._fetch(statement, parameters)
            except (*_CONFLICT, *_STALE):
                return await self._fetch(statement, parameters)

    get_by_key = read

    async def read_settled(self, table: str, statement: str, *parameters: object) -> Sequence[Row]:
        with self._under_way():
            async with self._connection() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                # waits for the transactions that have added rows; others wait for this one
                await connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
                found: Sequence[Row] = await connection.fetch(statement, *parameters)
                return found

    async def write(self, job: Callable[[Transaction], Awaitable[T]], turn: str = "") -> T:
        in_turn = self._turns.setdefault(turn, asyncio.Lock()) if turn else nullcontext()
        with self._under_way():
            # the turn first: one that waits for it must not hold up other writers
            async with asyncio.timeout(WRITE_SECONDS), in_turn, self._writers:
                # the lock is held while a write is retried: wait for it
                async with self._one_by_one:
                    pass
                try:
                    return await self._attempt(job)
                except (*_CONFLICT, *_STALE, asyncpg.IntegrityConstraintViolationError):
                    return await self._repeat(job)

    def on_commit(self, call: Callable[[], None]) -> None:
        self._after_commit.append(call)

    def usage(self) -> Usage:
        pool = self._pool
        is_open = not pool.is_closing()
        size, idle = (pool.get_size(), pool.get_idle_size()) if is_open else (0, 0)
        states = {"used": size - idle, "idle": idle, "max": pool.get_max_size()}
        return Usage(conflicts=self._conflicts, pool=states)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except (TimeoutError, *_UNAVAILABLE):
            self._pool.terminate()

    async def _repeat(self, job: Callable[[Transaction], Awaitable[T]]) -> T:
        violations = 0
        self._conflicts += 1
        # one at a time, so that retried writes of this process have no conflict with each other
        async with self._one_by_one:
            retries = pauses.doubling(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS, min_share=0)
            for pause in islice(retries, MAX_ATTEMPTS):
                try:
                    return await self._attempt(job)
                except _CONFLICT:
                    self._conflicts += 1
                except asyncpg.IntegrityConstraintViolationError as error:
                    violations += 1
                    if violations == MAX_VIOLATIONS:
                        name = type(error).__name__
                        # never its text, which holds values from the database
                        log.error("constraint violated", exception=name)
                        raise ServiceUnavailable(name) from None
                await asyncio.sleep(pause)
        raise ServiceUnavailable("too_many_conflicts")

    async def _attempt(self, job: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._connection() as connection:
            try:
                async with connection.transaction(isolation="serializable"):
                    result = await job(_Statements(connection))
            except asyncpg.StatementCompletionUnknownError as error:
                # it may have been committed: a retry could write it twice
                raise ServiceUnavailable(type(error).__name__) from None
        for call in self._after_commit:
            call()
        return result

    async def _fetch(self, statement: str, parameters: tuple[object, ...]) -> Sequence[Row]:
        async with self._connection() as connection:
            found: Sequence[Row] = await connection.fetch(statement, *parameters)
            return found

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection"]:
        async with self._pool.acquire(timeout=WAIT_SECONDS) as connection:
            try:
                yield connection
            except _STALE:
                # reconnect, to wherever the name leads now
                await self._pool.expire_connections()
                raise
            except _CUT_SHORT:
                with suppress(*_UNAVAILABLE):
                    await connection.reset()
                raise

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        if self._asked >= MAX_CALLS:
            raise ServiceUnavailable("callers_waiting")
        self._asked += 1
        try:
            yield
        except (*_UNAVAILABLE, *_CONFLICT, *_STALE) as error:
            # its type only: the text may hold values from the database, and its address
            raise ServiceUnavailable(type(error).__name__) from None
        finally:
            self._asked -= 1


class _Statements:
    def __init__(self, connection: "asyncpg.Connection") -> None:
        self._connection = connection

    async def run(self, statement: str, *parameters: object) -> Sequence[Row]:
        found: Sequence[Row] = await self._connection.fetch(statement, *parameters)
        return found

    async def run_together(self, *statements: Statement) -> Sequence[Row]:
        parameters = [value for _, *values in statements for value in values]
        together = _together(tuple((text, len(values)) for text, *values in statements))
        return await self.run(together, *parameters)


@lru_cache(256)
def _together(statements: tuple[tuple[str, int], ...]) -> str:
    """Return one statement that runs all of *statements*, each with its number of parameters.

    References are checked at its end, when all rows are there.
    """
    parts, before = [], 0
    for number, (text, count) in enumerate(statements):
        # split keeps the numbers of the parameters, at odd places
        pieces = _PARAMETER.split(text)
        pieces[1::2] = [f"${int(piece) + before}" for piece in pieces[1::2]]
        parts.append(f"together{number} AS ({''.join(pieces)})")
        before += count
    return f"WITH {', '.join(parts)} SELECT * FROM together0"  # noqa: S608 - no values


async def _no_reset(_: Any) -> None:
    """Skip the driver's reset of a released connection, which costs as much as a read.

    Safe: no statement changes a session setting or uses a listener or an advisory lock. The driver
    itself rolls back a transaction that is left open.
    """


@contextmanager
def _as_store_error() -> Iterator[None]:
    """Raise StoreError, with a sentence for the operator, for the errors of the driver."""
    try:
        yield
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise StoreError(f"{NAME} refuses its user or password") from None
    except asyncpg.InvalidCatalogNameError:
        raise StoreError(f"{NAME} does not exist; make it first: createdb NAME") from None
    except (asyncpg.PostgresError, ValueError, *_UNAVAILABLE) as error:
        raise StoreError(f"{NAME} cannot be reached ({type(error).__name__})") from None
