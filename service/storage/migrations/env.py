"""What Alembic runs for each command."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.ext.compiler import compiles


@compiles(sa.Text, "postgresql")
def _bytewise(*_: Any, **__: Any) -> str:
    """Compare text byte by byte, as SQLite does.

    Pages then have one order in every locale, and no index depends on a locale's version.
    """
    return 'TEXT COLLATE "C"'


def to_sqlite() -> None:
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        # what is deleted is overwritten, from the first page of the file on
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.exec_driver_sql("PRAGMA busy_timeout = 30000")
        connection.commit()
        context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
        with context.begin_transaction():
            # locks at once: of two concurrent migrations, the later waits
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            context.run_migrations()


def to_sql() -> None:
    # the caller opens the transaction
    context.configure(dialect_name="postgresql", transactional_ddl=False)
    context.run_migrations()


if context.is_offline_mode():
    to_sql()
else:
    to_sqlite()
