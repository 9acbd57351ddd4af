"""The keyring: the service's own keys, by purpose, in one file that its owner alone may read.

The file is JSON: `{"version": 2, "keys": [{id, purpose, state, created_at, since, key, wrap}]}`,
each key 256 random bits in base64, *since* when it came into its state. Of each purpose exactly one
key is `active`: new secrets are made with it. `pending` keys are loaded but not yet used,
`previous` ones still open what they sealed. rotation.py leads keys from one state to the next.

A `seal` key whose *wrap* is `derived` seals in format 2 of the vault; one without *wrap* was made
by an older program and seals in format 1. A file without a `derived` key has version 1. An older
program refuses version 2: it then lacks the key (UnknownKey), and does not take what the key sealed
for damaged (Unreadable).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic

import structlog

LOOK_EVERY = 4.0
"""Seconds between two looks at whether the file has changed: with a loop that is busy, 5."""
OPEN_FOR = 60.0
"""Seconds for which a key that has left the keyring still opens: a call may hold what it sealed."""
KEY_ID = re.compile(r"[!-~]{1,64}", re.ASCII)

log = structlog.get_logger()


class KeyringError(Exception):
    """The keyring cannot be used; its text is a sentence for the operator and holds no secret."""


class UnknownKey(Exception):
    """Something names a key that is not in the keyring: an alarm, and no proof of anything."""


class KeyPurpose(StrEnum):
    SEAL = "seal"
    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105 - a purpose, no secret


class KeyState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    PREVIOUS = "previous"


class Wrap(StrEnum):
    """How a `seal` key wraps data keys."""

    DIRECT = "direct"
    """By itself: for 2^32 of them at most."""
    DERIVED = "derived"
    """By a key of its own for each, derived from it: for as many as there are."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the keyring."""

    key_id: str
    purpose: KeyPurpose
    state: KeyState
    created_at: str
    since: str
    secret: bytes = field(repr=False)
    wrap: Wrap = Wrap.DIRECT

    @property
    def mark(self) -> str:
        """What tells this key from any other, and nothing of it."""
        return hmac.digest(self.secret, f"mark of {self.key_id}".encode(), hashlib.sha256).hex()


class Keyring:
    """The keys in *path*, looked at again every few seconds and when an unknown one is asked for.

    Raises KeyringError where the file is missing, open to others, or not a keyring. A file that
    goes bad later, or holds another keyring, leaves the keys that were loaded in use, with an error
    in the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[tuple[KeyPurpose, str], Key] = {}
        self._active: dict[KeyPurpose, Key] = {}
        self._gone: dict[tuple[KeyPurpose, str], tuple[float, Key]] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = monotonic()
        self._take(read_keys(path))
        self._seen = _identity(path)

    def active(self, purpose: KeyPurpose) -> Key:
        """The key that new secrets of *purpose* are made with."""
        if monotonic() - self._looked_at > LOOK_EVERY:
            self._look()
        return self._active[purpose]

    @property
    def keys(self) -> Sequence[Key]:
        """All that are in it."""
        return list(self._keys.values())

    def key(self, purpose: KeyPurpose, key_id: str) -> Key:
        """The key that something of ours was made with; raises UnknownKey, which is an alarm."""
        key = self.find(purpose, key_id)
        if key is None:
            log.error("key not in the keyring", purpose=purpose.value, key_id=key_id)
            raise UnknownKey(key_id)
        return key

    def find(self, purpose: KeyPurpose, key_id: str) -> Key | None:
        """The key of an id that a caller may have made up: that there is none is no alarm."""
        place = purpose, key_id
        if place not in self._keys:
            self._look()
        if place in self._keys:
            return self._keys[place]
        left_at, key = self._gone.get(place, (0.0, None))
        return key if monotonic() - left_at < OPEN_FOR else None

    async def follow(self) -> None:
        """Look at the file every few seconds, until cancelled, whether there are calls or not."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._look()

    def _look(self) -> None:
        self._looked_at = monotonic()
        try:
            seen = _identity(self._path)
            if seen != self._seen:
                keys = read_keys(self._path)
                self._check_kin(keys)
                self._take(keys)
                self._seen = seen
                # by this line an operator knows that a process has a key
                log.info(
                    "keyring loaded",
                    keys={key.key_id: key.state.value for key in self._keys.values()},
                )
        except (OSError, KeyringError):
            log.exception("keyring cannot be read again; the loaded keys stay in use")

    def _check_kin(self, keys: Sequence[Key]) -> None:
        """Raise KeyringError where *keys* are another keyring's: what it sealed would be lost to
        ours.

        A keyring changes step by step: it always has keys of before, and none turns into another.
        """
        old = {(key.purpose, key.key_id): key.secret for key in self._keys.values()}
        met = {key for key in keys if (key.purpose, key.key_id) in old}
        changed = any(key.secret != old[key.purpose, key.key_id] for key in met)
        if changed or {key.purpose for key in met} != set(KeyPurpose):
            raise KeyringError(f"{self._path} is another keyring than the one that was loaded")

    def _take(self, keys: Sequence[Key]) -> None:
        taken = {(key.purpose, key.key_id): key for key in keys}
        now = monotonic()
        left = {place: (now, key) for place, key in self._keys.items() if place not in taken}
        kept = {place: gone for place, gone in self._gone.items() if now - gone[0] < OPEN_FOR}
        self._gone = kept | left
        self._active, self._keys = active_keys(keys), taken


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def active_keys(keys: Sequence[Key]) -> dict[KeyPurpose, Key]:
    """The active key of each purpose; raises KeyringError unless there is exactly one of each."""
    active = {key.purpose: key for key in keys if key.state is KeyState.ACTIVE}
    count = sum(key.state is KeyState.ACTIVE for key in keys)
    if active.keys() != set(KeyPurpose) or count != len(KeyPurpose):
        raise KeyringError("the keyring needs exactly one active key of each purpose")
    return active


def read_keys(path: Path) -> list[Key]:
    """The keys of the keyring in *path*; raises KeyringError with a sentence that says why not."""
    keys = keys_in(path)
    active_keys(keys)
    return keys


def keys_in(path: Path) -> list[Key]:
    """The keys in *path*, be they a whole keyring or not; raises KeyringError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise KeyringError(
                    f"the keyring {path} is open to others (mode {mode:04o}); run: chmod 600 {path}"
                )
            written = json.loads(file.read())
    except FileNotFoundError:
        raise KeyringError(
            f"there is no keyring at {path}; make one: postcore keyring init"
        ) from None
    except OSError as error:
        raise KeyringError(f"the keyring {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise KeyringError(f"the keyring {path} is not JSON") from None
    try:
        version = written["version"]
        if version not in (1, 2):
            raise KeyringError(
                f"the keyring {path} is of a version that this program does not know"
            )
        keys = [_key_from(entry) for entry in written["keys"]]
        if version < _version(keys):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyringError(f"the keyring {path} is damaged") from None
    if len({key.key_id for key in keys}) != len(keys):
        raise KeyringError(f"the keyring {path} names a key twice")
    return keys


def _key_from(entry: dict[str, str]) -> Key:
    try:
        secret = base64.b64decode(entry["key"], validate=True)
    except binascii.Error as error:
        raise ValueError from error
    # of the texts that decode to the same bytes, only the one that we write counts
    if base64.b64encode(secret).decode() != entry["key"]:
        raise ValueError
    if len(secret) != 32 or not KEY_ID.fullmatch(entry["id"]):
        raise ValueError
    return Key(
        entry["id"],
        KeyPurpose(entry["purpose"]),
        KeyState(entry["state"]),
        entry["created_at"],
        entry.get("since", entry["created_at"]),
        secret,
        Wrap(entry.get("wrap", Wrap.DIRECT)),
    )


def _version(keys: Sequence[Key]) -> int:
    """The version of a file that holds *keys*."""
    return 2 if any(key.wrap is Wrap.DERIVED for key in keys) else 1


def new_keys(created_at: str) -> list[Key]:
    """A first active key for each purpose. *created_at* is RFC 3339."""
    return [new_key(purpose, KeyState.ACTIVE, created_at) for purpose in KeyPurpose]


def new_key(purpose: KeyPurpose, state: KeyState, created_at: str) -> Key:
    """A key that nobody has had before."""
    key_id = f"{purpose.value.replace('_', '')}-{secrets.token_hex(4)}"
    wrap = Wrap.DERIVED if purpose is KeyPurpose.SEAL else Wrap.DIRECT
    return Key(key_id, purpose, state, created_at, created_at, secrets.token_bytes(32), wrap)


def age(written: str, now: datetime) -> float:
    """Seconds from the RFC 3339 time *written* to *now*; infinite where it is no time."""
    try:
        return (now - datetime.fromisoformat(written)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")


def create_keyring(path: Path, keys: Sequence[Key]) -> None:
    """Write a new keyring, whole or not at all; raises KeyringError where there is one already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KeyringError(f"cannot make the folder {path.parent}: {error.strerror}") from None
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_draft(draft, keys)
        # link, unlike rename, fails where there is a keyring: two at once cannot overwrite each
        # other
        os.link(draft, path)
        keep_names(path.parent)
    except FileExistsError:
        raise KeyringError(f"there is a keyring at {path} already; it was left as it is") from None
    except OSError as error:
        raise KeyringError(f"the keyring {path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def write_draft(draft: Path, keys: Sequence[Key], owner: tuple[int, int] | None = None) -> None:
    """Write *keys* to a new file, whole on the disk when this returns; raises OSError."""
    entries = [
        {
            "id": key.key_id,
            "purpose": key.purpose.value,
            "state": key.state.value,
            "created_at": key.created_at,
            "since": key.since,
            "key": base64.b64encode(key.secret).decode(),
            **({"wrap": key.wrap.value} if key.wrap is Wrap.DERIVED else {}),
        }
        for key in keys
    ]
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.write(json.dumps({"version": _version(keys), "keys": entries}, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())


def keep_names(folder: Path) -> None:
    """Have the names of the files in *folder* on the disk; raises OSError."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
