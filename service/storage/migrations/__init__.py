"""Migrations: run by Alembic in a child process, and only if the schema is behind."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from select import select

from service.runtime import children
from service.storage.engine import StoreError

HEAD = "0009"
"""The newest revision. Kept here so that a start need not load Alembic to compare."""
KNOWN = frozenset({"0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009"})
MAX_SECONDS = 120

CODE = """
import os
from service.runtime import log
from service.storage.migrations import migrate
log.configure("json", "warning")
log.log_uncaught()  # by type: its text may hold what is in the database
print("ready", flush=True)
given = json.load(sys.stdin)
os.environ.update(given["environ"])
os.chdir(given["folder"])  # paths in the URL are relative to it
migrate(given["url"])
"""
SECRET = ("POSTCORE_", "PG")
"""Prefixes of environment variables that may hold a password."""
READY_SECONDS = 30


def known(revision: str, database: str) -> str:
    """Return *revision*, the schema of *database*. Raises StoreError if it is unknown."""
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
    # a per cent sign would begin a name to be replaced
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    if database_url.startswith("sqlite:"):
        config.attributes["url"] = database_url
        command.upgrade(config, HEAD)
    else:
        from service.storage.migrations.postgres import upgrade

        asyncio.run(upgrade(config, database_url, HEAD))


def migrate_apart(database_url: str) -> bool:
    """Run `migrate` in a child process; return whether it succeeded."""
    return Migration(database_url).run()


class Migration:
    """One `migrate` in a child process, so that this process never loads SQLAlchemy.

    The URL and the driver's variables may hold a password. They are written to the child's standard
    input, after it has disabled core dumps and so the reading of its memory by other processes.
    """

    def __init__(self, database_url: str) -> None:
        driver = {name: value for name, value in os.environ.items() if name.startswith("PG")}
        self._given = {"url": database_url, "folder": str(Path.cwd()), "environ": driver}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def run(self) -> bool:
        """Block until the child has ended; return whether it succeeded."""
        rest = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
        with self._lock:
            if self._is_stopped:
                return False
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
                children.command(CODE),
                cwd="/",
                env=rest,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sys.stderr,
                text=True,
            )
        with self._process as child:
            try:
                assert child.stdout
                if select([child.stdout], [], [], READY_SECONDS)[0] and child.stdout.readline():
                    child.communicate(json.dumps(self._given), timeout=MAX_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                child.kill()  # no effect on one that has ended
        return child.returncode == 0

    def stop(self) -> None:
        """Kill the child, from any thread. Its one transaction is rolled back."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()
