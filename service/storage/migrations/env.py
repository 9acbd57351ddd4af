"""What Alembic runs for each command."""

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
with engine.connect() as connection:
    if connection.dialect.name == "sqlite":
        # what is deleted is overwritten, from the first page of the file on
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.exec_driver_sql("PRAGMA busy_timeout = 30000")
        connection.commit()
    context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
    with context.begin_transaction():
        if connection.dialect.name == "sqlite":
            # taken at once: of two migrations that start together, one waits for the other
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        context.run_migrations()
