"""Rotation: moves keys between states. Each move changes the keyring file once.

    (add) → pending → (activate) → active → (another is activated) → previous → (retire) → a file
                                     ↑___________(activate)___________|

A pending key can be retired too. `put_back` returns a retired key from its file as `previous`.

Every change writes and syncs a draft, then renames it to the keyring. A crash therefore leaves the
old keyring or the new one, never a damaged one. Each process checks the file within 5 s. The code
does not know which processes exist: it assumes that all have loaded a change after
PROPAGATION_SECONDS. An operator who copies the keyring to several machines must make sure of this.
Each process logs `keyring loaded` with the ids of its keys.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from service.crypto.keyring import (
    Key,
    KeyPurpose,
    KeyringError,
    KeyState,
    age,
    keys_in,
    new_key,
    read_keys,
    sync_folder,
    write_draft,
)

PROPAGATION_SECONDS = 10.0
"""The time after which every process is assumed to have loaded a change of the keyring."""
COMPLETION_SECONDS = 60.0
"""The time after which every unary call that began before a change is assumed to have ended."""
LOCK_TIMEOUT_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.05


class Rotation:
    """Changes a keyring. Methods raise KeyringError if a change is not allowed."""

    def __init__(self, path: Path, now: datetime) -> None:
        self._path = path.resolve()  # replaces the target of a link, not the link
        self._now = now
        self.keys = read_keys(path)

    @classmethod
    @contextmanager
    def locked(cls, path: Path, now: datetime) -> Iterator["Rotation"]:
        """Lock the keyring in *path* for the block, and read it once it is locked."""
        read_keys(path)  # raises before a lock file is made beside a missing keyring
        with _lock(path.resolve()):
            yield cls(path, now)

    def key(self, key_id: str) -> Key:
        """Return the key of that id."""
        for key in self.keys:
            if key.key_id == key_id:
                return key
        raise KeyringError(f"the keyring has no key {key_id}; list them: postcore keyring status")

    def add(self, purpose: KeyPurpose) -> Key:
        """Add and return a pending key: processes load it, and do not use it yet."""
        key = new_key(purpose, KeyState.PENDING, self._time())
        self._write([*self.keys, key])
        return key

    def put_back(self, file: Path) -> Key:
        """Add and return the key that `retire` wrote to *file*, in state `previous`."""
        found = keys_in(file)
        if len(found) != 1:
            raise KeyringError(f"{file} does not hold one retired key")
        [key] = found
        for other in self.keys:
            if other.key_id == key.key_id:
                raise KeyringError(f"the key {key.key_id} is in the keyring already")
        key = replace(key, state=KeyState.PREVIOUS, since=self._time())
        self._write([*self.keys, key])
        return key

    def activate(self, key_id: str, *, at_once: bool = False) -> Key:
        """Make a key the active key of its purpose. The former active key becomes `previous`.

        A pending key must be PROPAGATION_SECONDS old, unless *at_once* is set. Otherwise a process
        that has not loaded the key cannot open what other processes seal with it.
        """
        chosen = self.key(key_id)
        if chosen.state is KeyState.ACTIVE:
            return chosen
        wait = PROPAGATION_SECONDS - self.age(chosen)
        if chosen.state is KeyState.PENDING and wait > 0 and not at_once:
            raise KeyringError(
                f"the key {key_id} is too new to be loaded everywhere; activate it in {wait:.0f} s"
            )
        active = replace(chosen, state=KeyState.ACTIVE, since=self._time())
        self._write(
            [
                active
                if key is chosen
                else replace(key, state=KeyState.PREVIOUS, since=self._time())
                if key.state is KeyState.ACTIVE and key.purpose is chosen.purpose
                else key
                for key in self.keys
            ]
        )
        return active

    def retire(self, key_id: str, rows: int) -> Path:
        """Move a key from the keyring to a file; return the path of that file.

        *rows* is the number of database rows that name the key. It must be 0.
        """
        key = self.key(key_id)
        if key.state is KeyState.ACTIVE:
            raise KeyringError(f"the key {key_id} is active; activate another before you retire it")
        if rows:
            raise KeyringError(f"the key {key_id} is named by {rows} rows; {_remedy(key)}")
        # calls that began before the last process loaded the change may still use the key
        wait = PROPAGATION_SECONDS + COMPLETION_SECONDS - self.age(key)
        if key.state is KeyState.PREVIOUS and wait > 0:
            raise KeyringError(
                f"the key {key_id} may still be in use by calls under way; "
                f"retire it in {wait:.0f} s"
            )
        file = self._write_retired(key)
        self._write([other for other in self.keys if other is not key])
        return file

    def age(self, key: Key) -> float:
        """Return how many seconds *key* has been in its state; infinity if `since` is invalid."""
        return age(key.since, self._now)

    def _write_retired(self, key: Key) -> Path:
        """Write *key* to a file of its own. Replace a file with the same key.

        An interrupted `retire` leaves such a file. Raises KeyringError if it holds another key.
        """
        file = self._path.with_name(f"retired-{key.key_id}.json")
        draft = file.with_name(f".{file.name}.draft")
        retired = replace(key, state=KeyState.PREVIOUS)
        try:
            draft.unlink(missing_ok=True)
            write_draft(draft, [retired])
            if file.exists() and [other.secret for other in keys_in(file)] != [key.secret]:
                raise KeyringError(f"there is another file {file}; it was left as it is")
            draft.rename(file)
            sync_folder(file.parent)
        except OSError as error:
            raise KeyringError(f"{file} cannot be written: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        return file

    def _write(self, keys: Sequence[Key]) -> None:
        # one name for all drafts: the next change removes what a crash has left
        draft = self._path.with_name(f".{self._path.name}.draft")
        try:
            draft.unlink(missing_ok=True)
            status = self._path.stat()
            # keeps its owner if root changes it
            write_draft(draft, keys, (status.st_uid, status.st_gid))
            draft.rename(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise KeyringError(
                f"the keyring {self._path} cannot be written: {error.strerror}"
            ) from None
        finally:
            draft.unlink(missing_ok=True)
        self.keys = list(keys)

    def _time(self) -> str:
        return self._now.isoformat(timespec="seconds")


def _remedy(key: Key) -> str:
    return {
        KeyPurpose.SEAL: "run: postcore keyring rewrap",
        KeyPurpose.API_KEY: "those are API keys, which only this key can check: revoke them first",
        KeyPurpose.TOKEN: "those are idempotency keys, which expire within a day",
    }[key.purpose]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    deadline = monotonic() + LOCK_TIMEOUT_SECONDS
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise KeyringError(f"cannot open {lock}: {error.strerror}") from None
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise KeyringError(f"another command is changing the keyring {path}") from None
                sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
