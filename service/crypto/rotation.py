"""Rotation: leads the keyring's keys from one state to the next, one change of the file at a time.

    (add) → pending → (activate) → active → (another is activated) → previous → (retire) → a file
                                     ↑___________(activate)___________|

Every change is a new file, whole on the disk before it takes the keyring's name, so that a crash
leaves the keyring as it was or as it was to be. What a change relies on is time: every process
looks at the keyring within 5 s, and so SETTLED seconds after a change there is none that goes by
the former keyring. An operator who copies the keyring to several machines has to see to that
himself; each process logs `keyring loaded` with the keys that it has.
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
    keep_names,
    keys_in,
    new_key,
    read_keys,
    write_draft,
)

SETTLED = 10.0
"""Seconds after which every process has a change of the keyring."""
AT_REST = 60.0
"""Seconds after which nothing is under way that was begun before a change of the keyring."""
WAIT_SECONDS = 10.0
ASK_AGAIN_SECONDS = 0.05


class Rotation:
    """A keyring that nobody else changes meanwhile. Raises KeyringError where a step is not
    allowed."""

    def __init__(self, path: Path, now: datetime) -> None:
        self._path = path.resolve()  # of a link, what it leads to is replaced
        self._now = now
        self.keys = read_keys(path)

    @classmethod
    @contextmanager
    def held(cls, path: Path, now: datetime) -> Iterator["Rotation"]:
        """The keyring in *path*, held until the end of the block, as it was found after waiting."""
        read_keys(path)  # where there is no keyring, no lock is left behind
        with _lock(path.resolve()):
            yield cls(path, now)

    def key(self, key_id: str) -> Key:
        for key in self.keys:
            if key.key_id == key_id:
                return key
        raise KeyringError(f"the keyring has no key {key_id}; list them: postcore keyring status")

    def add(self, purpose: KeyPurpose) -> Key:
        """A new pending key: every process loads it, none uses it yet."""
        key = new_key(purpose, KeyState.PENDING, self._time())
        self._write([*self.keys, key])
        return key

    def put_back(self, file: Path) -> Key:
        """The key that `retire` wrote to *file*: it opens what it sealed, and is not used anew."""
        found = keys_in(file)
        if len(found) != 1:
            raise KeyringError(f"{file} does not hold one retired key")
        [key] = found
        for there in self.keys:
            if there.key_id == key.key_id:
                raise KeyringError(f"the key {key.key_id} is in the keyring already")
        key = replace(key, state=KeyState.PREVIOUS, since=self._time())
        self._write([*self.keys, key])
        return key

    def activate(self, key_id: str, *, at_once: bool = False) -> Key:
        """Make a key the one that is used; the former becomes `previous`.

        A pending one has to have been there for a while, but for *at_once*: a process that does
        not have it yet cannot open what others seal with it.
        """
        chosen = self.key(key_id)
        if chosen.state is KeyState.ACTIVE:
            return chosen
        wait = SETTLED - self.age(chosen)
        if chosen.state is KeyState.PENDING and wait > 0 and not at_once:
            raise KeyringError(
                f"the key {key_id} is too new to be loaded everywhere; activate it in {wait:.0f} s"
            )
        active = replace(chosen, state=KeyState.ACTIVE, since=self._time())
        former = KeyState.ACTIVE, chosen.purpose
        self._write(
            [
                active
                if key is chosen
                else replace(key, state=KeyState.PREVIOUS, since=self._time())
                if (key.state, key.purpose) == former
                else key
                for key in self.keys
            ]
        )
        return active

    def retire(self, key_id: str, rows: int) -> Path:
        """Take out a key that so many *rows* name; returns the file that keeps it from now on."""
        key = self.key(key_id)
        if key.state is KeyState.ACTIVE:
            raise KeyringError(f"the key {key_id} is active; activate another before you retire it")
        if rows:
            raise KeyringError(f"the key {key_id} is named by {rows} rows; {_way_out(key)}")
        wait = AT_REST - self.age(key)
        if key.state is KeyState.PREVIOUS and wait > 0:
            raise KeyringError(
                f"the key {key_id} may still be in use by what is under way; "
                f"retire it in {wait:.0f} s"
            )
        file = self._keep(key)
        self._write([other for other in self.keys if other is not key])
        return file

    def age(self, key: Key) -> float:
        """For how many seconds *key* has been in its state; a time that is none is long ago."""
        return age(key.since, self._now)

    def _keep(self, key: Key) -> Path:
        """Write *key* to a file of its own; one that a retirement which was cut short left will
        do."""
        file = self._path.with_name(f"retired-{key.key_id}.json")
        draft = file.with_name(f".{file.name}.draft")
        kept = replace(key, state=KeyState.PREVIOUS)
        try:
            draft.unlink(missing_ok=True)
            write_draft(draft, [kept])
            if file.exists() and [other.secret for other in keys_in(file)] != [key.secret]:
                raise KeyringError(f"there is another file {file}; it was left as it is")
            draft.rename(file)
            keep_names(file.parent)
        except OSError as error:
            raise KeyringError(f"{file} cannot be written: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        return file

    def _write(self, keys: Sequence[Key]) -> None:
        # the same name each time: what a crash leaves of it, the next change takes away
        draft = self._path.with_name(f".{self._path.name}.draft")
        try:
            draft.unlink(missing_ok=True)
            former = self._path.stat()
            # a keyring that root has changed is still its owner's
            write_draft(draft, keys, (former.st_uid, former.st_gid))
            draft.rename(self._path)
            keep_names(self._path.parent)
        except OSError as error:
            raise KeyringError(
                f"the keyring {self._path} cannot be written: {error.strerror}"
            ) from None
        finally:
            draft.unlink(missing_ok=True)
        self.keys = list(keys)

    def _time(self) -> str:
        return self._now.isoformat(timespec="seconds")


def _way_out(key: Key) -> str:
    return {
        KeyPurpose.SEAL: "run: postcore keyring rewrap",
        KeyPurpose.API_KEY: "those are API keys, which it alone can check: revoke them first",
        KeyPurpose.TOKEN: "those are idempotency keys, which are forgotten within a day",
    }[key.purpose]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    give_up_at = monotonic() + WAIT_SECONDS
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
                if monotonic() > give_up_at:
                    raise KeyringError(f"another command is changing the keyring {path}") from None
                sleep(ASK_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)
