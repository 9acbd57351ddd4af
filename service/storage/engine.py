"""The port of a database: reads, and serializable writes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
Row = Any
"""A row: its columns by name and by position."""
Statement = tuple[str, *tuple[object, ...]]
"""A statement and its parameters."""


class StoreError(Exception):
    """The database cannot be used. Its text is a sentence for the operator."""


class Usage(NamedTuple):
    """The use of a database now.

    *waiting*: transactions that wait for their turn. *conflicts*: transactions that were begun
    again, since the start. *pool*: connections by state (used, idle, max), if there is a pool.
    """

    waiting: int = 0
    conflicts: int = 0
    pool: Mapping[str, int] = {}


class Transaction(Protocol):
    """Statements that are committed together."""

    async def run(self, statement: str, *parameters: object) -> Sequence[Row]:
        """Return the rows of *statement*."""

    async def run_together(self, *statements: Statement) -> Sequence[Row]:
        """Run writes to different tables in one round trip; return the rows of the first.

        The first has RETURNING. None of them may depend on what another has written, except that
        a row may refer to one that an earlier statement adds.
        """


class Engine(Protocol):
    """A database that runs the SQL of `statements`. Every method may raise ServiceUnavailable."""

    async def read(self, statement: str, *parameters: object) -> Sequence[Row]:
        """Return the rows of a query, as of the last commit."""

    async def get_by_key(self, statement: str, *parameters: object) -> Sequence[Row]:
        """Do the same for a query that finds a few rows by a key: the hot path."""

    async def read_settled(self, table: str, statement: str, *parameters: object) -> Sequence[Row]:
        """Return the rows of a query once all writes to *table* under way have ended.

        A row that is added to *table* later gets a higher number than all that were returned.
        """

    async def write(self, job: Callable[[Transaction], Awaitable[T]], turn: str = "") -> T:
        """Run *job* in a transaction and return its result once the commit is durable.

        Serializable. A job that raises is rolled back. A job may be retried after a conflict, so
        it must have no other side effects. Jobs of the same *turn*, if any, would conflict: they
        run one after the other.
        """

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call *call* after every commit of `write`."""

    def usage(self) -> Usage:
        """Return the use of the database; waits for nothing and never raises."""

    async def close(self) -> None: ...
