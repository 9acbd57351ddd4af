"""The engine: what the store asks of a database."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = Any
"""A row: its columns by name, and in their order."""


class StoreError(Exception):
    """The database cannot be used; its text is a sentence for the operator."""


class Transaction(Protocol):
    """Statements that are committed together."""

    async def run(self, statement: str, *parameters: object) -> Sequence[Row]:
        """The rows that *statement* returns."""


class Engine(Protocol):
    """A database, asked in the SQL of statements.py and its like. Backoff: ServiceUnavailable."""

    async def read(self, statement: str, *parameters: object) -> Sequence[Row]:
        """The rows of a query, as of the last commit."""

    async def look_up(self, statement: str, *parameters: object) -> Sequence[Row]:
        """As `read`, for a query that finds few rows by a key: most calls are one of these."""

    async def write(self, job: Callable[[Transaction], Awaitable[T]]) -> T:
        """What *job* returns, once all it has written is durable; nothing, where it raises.

        Jobs come out as if they had run one after the other. One that met another may be run
        again, from its start: it has no effect but by its transaction.
        """

    def on_commit(self, call: Callable[[], None]) -> None:
        """Let *call* be called after every commit of `write`."""

    async def close(self) -> None: ...
