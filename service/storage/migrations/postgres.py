"""Migrations on PostgreSQL: Alembic renders them as SQL, and the service's own driver runs it.

No second driver is needed. In return, a migration cannot read rows before it decides what to do.
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
"""To wait for a lock: calls of running nodes queue behind a waiting migration."""
ATTEMPTS = 5
MAX_PAUSE_SECONDS = 0.5

# of two concurrent migrations, the later finds that its objects exist
_CONFLICT = (
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
    asyncpg.DuplicateColumnError,
    asyncpg.UniqueViolationError,  # in the catalogue, or on the row of the version
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,  # such as a backup that reads the table
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
                        # set after the wait for a concurrent migration, which may take longer
                        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                        await connection.execute(_as_sql(config, revision, head))
                return
            except _CONFLICT:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS))  # noqa: S311 - a pause
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def _revision(connection: "asyncpg.Connection") -> str | None:
    if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        return None
    # of two concurrent migrations, the later waits here, then reads the new revision
    revision: str | None = await connection.fetchval(
        "SELECT version_num FROM alembic_version FOR UPDATE"
    )
    return revision


def _as_sql(config: Config, revision: str | None, head: str) -> str:
    config.output_buffer = StringIO()
    command.upgrade(config, f"{revision or 'base'}:{head}", sql=True)
    return config.output_buffer.getvalue()
