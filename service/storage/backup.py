"""Back up a SQLite database that may be in use.

VACUUM writes the copy, so it holds no deleted data and nothing of the write-ahead log. The copy
gets its name after it is complete and checked.
"""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from service.storage.engine import StoreError
from service.storage.sqlite_file import check_modes, schema_revision

SQLITE = "sqlite:///"


def back_up(database_url: str, path: Path) -> None:
    """Copy the database to *path*, accessible to its owner only. Raises StoreError."""
    if not database_url.startswith(SQLITE):
        raise StoreError(
            "this database is not a file: copy it with its own tools, such as "
            "pg_dump --format=custom"
        )
    source = Path(database_url.removeprefix(SQLITE))
    check_modes(source)
    if schema_revision(source) is None:
        raise StoreError(f"there is no database of this service at {source}")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.exists():
            raise FileExistsError
        # made before it is written, so that others can never read it
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(source, draft)
        _check(draft)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        os.link(draft, path)
        _keep_name(path)
    except FileExistsError:
        raise StoreError(f"there is a file at {path} already; it was left as it is") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None
    except sqlite3.Error as error:
        raise StoreError(
            f"the database {source} could not be copied ({error.sqlite_errorname})"
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _copy(source: Path, draft: Path) -> None:
    # a snapshot: a reader of the log sees nothing that is written after it began
    with closing(_open(source, "ro")) as database:
        database.execute("PRAGMA busy_timeout = 5000")
        database.execute("VACUUM INTO ?", [str(draft)])


def _check(draft: Path) -> None:
    with closing(_open(draft, "ro&immutable=1")) as database:
        found = database.execute("PRAGMA integrity_check").fetchall()
        astray = database.execute("PRAGMA foreign_key_check").fetchall()
    if found != [("ok",)] or astray:
        raise StoreError("the database is damaged: its copy does not pass SQLite's own checks")


def _open(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)


def _keep_name(path: Path) -> None:
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
