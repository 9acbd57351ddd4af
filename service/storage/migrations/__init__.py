"""Migrations: run by Alembic in a process of their own, and only when the schema is behind."""

import asyncio
import subprocess
import sys
from pathlib import Path

from service.storage.engine import StoreError

HEAD = "0004"
"""The newest revision: known here so that a start need not load Alembic to compare."""
KNOWN = frozenset({"0001", "0002", "0003", "0004"})

CODE = """
import sys
from service import log
from service.storage.migrations import migrate
log.configure("json", "warning")
log.tell_uncaught()  # and not its text, which may hold what is in the database
migrate(sys.stdin.read())
"""


def known(revision: str, database: str) -> str:
    """*revision*, which *database* is in, if this program knows it; raises StoreError."""
    if revision not in KNOWN:
        raise StoreError(
            f"{database} was made by a newer program (schema {revision}, this one knows "
            f"{HEAD}); run that one, or restore a backup"
        )
    return revision


def migrate(database_url: str) -> None:
    """Bring the schema of *database_url* to HEAD. Safe to run twice, also at once."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    if database_url.startswith("sqlite:"):
        config.attributes["url"] = database_url
        command.upgrade(config, HEAD)
    else:
        from service.storage.migrations.postgres import upgrade

        asyncio.run(upgrade(config, database_url, HEAD))


def migrate_apart(database_url: str) -> bool:
    """`migrate` in a process of its own, so that this one never loads SQLAlchemy.

    The URL, which may hold a password, goes by standard input. Returns whether it worked.
    """
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own code
        [sys.executable, "-c", CODE],
        input=database_url,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
        timeout=120,
        check=False,
    )
    return done.returncode == 0
