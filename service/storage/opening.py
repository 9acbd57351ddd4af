"""Open the engine that a database URL names, after migrating its schema."""

import asyncio
from pathlib import Path

from service.storage.engine import Engine, StoreError
from service.storage.migrations import HEAD, Migration
from service.storage.sqlite import SqliteEngine
from service.storage.sqlite_file import check_modes, make_folder, make_private, schema_revision


async def open_engine(url: str, pool_size: int) -> Engine:
    """Raises StoreError: a sentence for the operator, without secrets."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        make_folder(path)
        make_private(path)
        check_modes(path)
        if schema_revision(path) != HEAD:
            await _migrate(url, f"the database {path}")
        return await SqliteEngine.open(path)

    # imported here: a service on SQLite does not load the driver
    from service.storage import postgres

    if await postgres.schema_revision(url) != HEAD:
        await _migrate(url, postgres.NAME)
    return await postgres.PostgresEngine.open(url, pool_size)


async def has_present_schema(url: str) -> bool:
    """Return whether the database exists with the schema of this version. Raises StoreError."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        return schema_revision(path) == HEAD
    from service.storage import postgres

    return await postgres.schema_revision(url) == HEAD


async def _migrate(url: str, database: str) -> None:
    migration = Migration(url)
    work = asyncio.ensure_future(asyncio.to_thread(migration.run))
    try:
        done = await asyncio.shield(work)
    except asyncio.CancelledError:
        migration.stop()
        await asyncio.wait([work])
        raise
    if not done:
        raise StoreError(f"{database} could not be migrated")
