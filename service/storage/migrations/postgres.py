"""Migrations on PostgreSQL: Alembic tells them as SQL, and the driver that the service has runs it.

So no second driver is needed; and so a migration cannot read what is in the database first.
"""

import asyncio
import random
from io import StringIO

import asyncpg
from alembic import command
from alembic.config import Config

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 100
LOCK_SECONDS = 3
"""For a table: calls of nodes that run queue up behind who waits for one, and wait no longer."""
ATTEMPTS = 5
LONGEST_PAUSE = 0.5

# of two migrations at once, the later finds what it was to make
_CONFLICT = (
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
    asyncpg.DuplicateColumnError,
    asyncpg.UniqueViolationError,  # in the catalogue, or on the row of the version
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,  # a backup reads a table that is to be changed, say
    asyncpg.InternalServerError,  # "tuple concurrently updated": a row of the catalogue
)


async def upgrade(config: Config, database_url: str, head: str) -> None:
    """Bring the schema to *head*, all in one transaction."""
    connection = await asyncpg.connect(
        database_url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS
    )
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with connection.transaction():
                    revision = await _revision(connection)
                    if revision != head:
                        # after the wait for who migrates at once, which may be longer
                        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                        await connection.execute(_as_sql(config, revision, head))
                return
            except _CONFLICT:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 - a pause
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def _revision(connection: "asyncpg.Connection") -> str | None:
    if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        return None
    # of two that migrate at once, the later waits here, and then reads what the earlier wrote
    revision: str | None = await connection.fetchval(
        "SELECT version_num FROM alembic_version FOR UPDATE"
    )
    return revision


def _as_sql(config: Config, revision: str | None, head: str) -> str:
    config.output_buffer = StringIO()
    command.upgrade(config, f"{revision or 'base'}:{head}", sql=True)
    return config.output_buffer.getvalue()
