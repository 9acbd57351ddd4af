"""The file of a SQLite database: private to its owner, served by one process at a time."""

import fcntl
import os
import sqlite3
import stat
from pathlib import Path

import structlog

from service.storage.engine import StoreError
from service.storage.migrations import known

OTHERS_WRITE, OTHERS_READ = 0o022, 0o044

log = structlog.get_logger()


def make_folder(file: Path) -> None:
    """Make the folder of *file*, accessible to its owner only. Raises StoreError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"cannot make the folder {file.parent}: {error.strerror}") from None


def make_private(file: Path) -> None:
    """Make *file*, accessible to its owner only, unless it exists. Raises StoreError.

    SQLite gives the files beside it the same mode.
    """
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(f"the database {file} cannot be made: {error.strerror}") from None


def check_modes(file: Path) -> None:
    """Raise StoreError if others may write to *file*, to a file that SQLite keeps beside it, or to
    its folder, where they could replace it. Log a warning if they may read it.

    The group counts as others for files, as it does for the keyring. A folder may be writable by
    its group: volumes of containers are, and folders of users with a group of their own.
    """
    real = file.resolve()  # SQLite keeps its other files beside this one
    for folder in {file.absolute().parent, real.parent}:
        mode = _mode(folder)
        # the sticky bit of /tmp is no help: others could make the log file
        if mode & stat.S_IWOTH:
            raise StoreError(
                f"others may write to {folder}, where the database is (mode {mode:04o}); "
                f"put it in a folder of its own, or run: chmod o-w {folder}"
            )
    for suffix in ("", "-wal", "-shm", "-journal"):
        each = real.with_name(f"{real.name}{suffix}")
        mode = _mode(each)
        if mode & OTHERS_WRITE:
            raise StoreError(
                f"others may write to the database's file {each} (mode {mode:04o}); "
                f"run: chmod 600 {each}"
            )
    if (mode := _mode(real)) & OTHERS_READ:
        log.warning("others may read the database", file=str(real), mode=f"{mode:04o}")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"{path} cannot be looked at: {error.strerror}") from None


def schema_revision(path: Path) -> str | None:
    """Return the schema's revision, None if there is none yet. Raises StoreError."""
    if not path.exists():
        return None
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            database.close()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise StoreError(f"the database {path} cannot be opened") from None
    except sqlite3.DatabaseError:
        raise StoreError(f"{path} is not a database of this service") from None
    if row is None:
        return None
    return known(str(row[0]), f"the database {path}")


class Ownership:
    """The right to serve from a database file: an exclusive lock, held by one process.

    The operating system releases it when the process ends in any way.
    """

    def __init__(self, path: Path) -> None:
        file = path.resolve()  # the same lock for every name of the file
        lock = file.with_name(f"{file.name}.serve")
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {lock}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreError(
                f"another server is running on {path}; stop it first (several servers of one"
                " database need PostgreSQL)"
            ) from None

    def release(self) -> None:
        os.close(self._lock)


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at *path*, None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
