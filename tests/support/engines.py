"""Engines: the store on SQLite and on PostgreSQL, and direct access to either."""

import re
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.storage.engine import Engine
from service.storage.postgres import PostgresEngine
from service.storage.sqlite import SqliteEngine
from tests.support.postgres import apart

POOL_SIZE = 6


@pytest.fixture(params=["sqlite", "postgres"])
def on_both(request: pytest.FixtureRequest) -> str:
    """Named `engine` in a module whose tests run on both."""
    engine: str = request.param
    return engine


@pytest.fixture(
    params=[("sandbox", "sqlite"), ("real", "sqlite"), ("sandbox", "postgres")], ids="-".join
)
def on_each(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A Bluesky server and an engine: each at least once, but not in all pairs."""
    pair: tuple[str, str] = request.param
    return pair


async def opened(database_url: str) -> Engine:
    """Yield an engine on a database in today's schema."""
    if database_url.startswith("sqlite:"):
        return await SqliteEngine.open(Path(database_url.removeprefix("sqlite:///")))
    return await PostgresEngine.open(database_url, POOL_SIZE)


def rows(database_url: str, statement: str, *parameters: object) -> list[dict[str, Any]]:
    """Run *statement*, with a `?` for each parameter, beside the service; return its rows."""
    if database_url.startswith("sqlite:"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as database:
            database.row_factory = sqlite3.Row
            with database:
                return [dict(row) for row in database.execute(statement, parameters)]
    number = count(1)
    numbered = re.sub(r"\?", lambda _: f"${next(number)}", statement)
    return apart(_rows(database_url, numbered, parameters))


async def _rows(
    database_url: str, statement: str, parameters: tuple[object, ...]
) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(database_url)
    try:
        return [dict(row) for row in await connection.fetch(statement, *parameters)]
    finally:
        await connection.close()
