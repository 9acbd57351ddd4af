"""The keyring: the service's own keys, by purpose, in one file that only its owner may read.

A file of root's may be readable by its group too (0440): a Secret that Kubernetes mounts for
another user, or a credential of systemd. Its reader cannot own it.

The file is JSON: `{"version": 2, "keys": [{id, purpose, state, created_at, since, key, wrap}]}`.
*key* is 256 random bits in base64; *since* is the time of the last change of state. Each purpose
has exactly one `active` key, which makes new secrets. `pending` keys are loaded but not yet used;
`previous` keys still open what they sealed. rotation.py changes the states.

A `seal` key whose *wrap* is `derived` seals in format 2 of the vault; one without *wrap* was made
by an older program and seals in format 1. A file without a `derived` key has version 1. An older
program rejects version 2 as a whole. It then lacks the key (UnknownKey) instead of reporting what
the key sealed as damaged (Unreadable).
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

RELOAD_SECONDS = 4.0
"""Interval of checks for a changed file: with a busy event loop, up to 5 s."""
RETIRED_SECONDS = 60.0
"""How long a key that was removed still opens: a call under way may hold what it sealed."""
KEY_ID = re.compile(r"[!-~]{1,64}", re.ASCII)

log = structlog.get_logger()


class KeyringError(Exception):
    """The keyring cannot be used; its text is a sentence for the operator and holds no secret."""


class UnknownKey(Exception):
    """Stored data names a key that the keyring lacks: an alarm, but no proof that data is bad."""


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
    """With the key itself: safe for 2^32 data keys."""
    DERIVED = "derived"
    """With a key derived for each data key: no limit."""


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
        """An identifier of the key's secret that reveals nothing of it."""
        return hmac.digest(self.secret, f"mark of {self.key_id}".encode(), hashlib.sha256).hex()


class Keyring:
    """The keys in *path*, reloaded every RELOAD_SECONDS and where an unknown key is requested.

    Raises KeyringError if the file is missing, accessible to others, or not a keyring. If the file
    goes bad later, or is replaced by another keyring, the loaded keys stay in use and an error is
    logged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[tuple[KeyPurpose, str], Key] = {}
        self._active: dict[KeyPurpose, Key] = {}
        self._removed: dict[tuple[KeyPurpose, str], tuple[float, Key]] = {}
        self._identity: tuple[int, int, int] | None = None
        self._checked_at = monotonic()
        self.is_readable = True
        """Whether the file could be read when it was last looked at."""
        self._install(read_keys(path))
        self._identity = _identity(path)

    def active(self, purpose: KeyPurpose) -> Key:
        """Return the key that makes new secrets of *purpose*."""
        if monotonic() - self._checked_at > RELOAD_SECONDS:
            self._reload()
        return self._active[purpose]

    @property
    def keys(self) -> Sequence[Key]:
        """All keys in the file."""
        return list(self._keys.values())

    def key(self, purpose: KeyPurpose, key_id: str) -> Key:
        """Return a key that stored data names; raise UnknownKey, and log an error, if missing."""
        key = self.find(purpose, key_id)
        if key is None:
            log.error("key not in the keyring", purpose=purpose.value, key_id=key_id)
            raise UnknownKey(key_id)
        return key

    def find(self, purpose: KeyPurpose, key_id: str) -> Key | None:
        """Return the key of an id that a caller sent, None if there is none."""
        name = purpose, key_id
        if name not in self._keys:
            self._reload()
        if name in self._keys:
            return self._keys[name]
        removed_at, key = self._removed.get(name, (0.0, None))
        return key if monotonic() - removed_at < RETIRED_SECONDS else None

    async def follow(self) -> None:
        """Reload the file every RELOAD_SECONDS if it has changed, until cancelled."""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            self._reload()

    def _reload(self) -> None:
        self._checked_at = monotonic()
        try:
            identity = _identity(self._path)
            if identity != self._identity:
                keys = read_keys(self._path)
                self._check_related(keys)
                self._install(keys)
                self._identity = identity
                # shows operators that this process has a key
                log.info(
                    "keyring loaded",
                    keys={key.key_id: key.state.value for key in self._keys.values()},
                )
            self.is_readable = True
        except (OSError, KeyringError):
            self.is_readable = False
            log.exception("keyring cannot be read again; the loaded keys stay in use")

    def _check_related(self, keys: Sequence[Key]) -> None:
        """Raise KeyringError if *keys* are another keyring's: what that seals, ours cannot open.

        A keyring changes in steps: a key of each purpose stays, and no id gets another secret.
        """
        old = {(key.purpose, key.key_id): key.secret for key in self._keys.values()}
        shared = {key for key in keys if (key.purpose, key.key_id) in old}
        changed = any(key.secret != old[key.purpose, key.key_id] for key in shared)
        if changed or {key.purpose for key in shared} != set(KeyPurpose):
            raise KeyringError(f"{self._path} is another keyring than the one that was loaded")

    def _install(self, keys: Sequence[Key]) -> None:
        installed = {(key.purpose, key.key_id): key for key in keys}
        now = monotonic()
        removed = {name: (now, key) for name, key in self._keys.items() if name not in installed}
        recent = {
            name: (removed_at, key)
            for name, (removed_at, key) in self._removed.items()
            if now - removed_at < RETIRED_SECONDS
        }
        self._removed = recent | removed
        self._active, self._keys = active_keys(keys), installed


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def active_keys(keys: Sequence[Key]) -> dict[KeyPurpose, Key]:
    """Return the active key of each purpose; raise KeyringError unless there is exactly one."""
    active = {key.purpose: key for key in keys if key.state is KeyState.ACTIVE}
    count = sum(key.state is KeyState.ACTIVE for key in keys)
    if active.keys() != set(KeyPurpose) or count != len(KeyPurpose):
        raise KeyringError("the keyring needs exactly one active key of each purpose")
    return active


def read_keys(path: Path) -> list[Key]:
    """Return the keys of the keyring in *path*; raise KeyringError if it is not a valid one."""
    keys = keys_in(path)
    active_keys(keys)
    return keys


def keys_in(path: Path) -> list[Key]:
    """Return the keys in *path*, which may be less than a whole keyring; raise KeyringError."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            is_lent = status.st_uid == 0 != os.geteuid()  # root has given the group its access
            if mode & (0o037 if is_lent else 0o077):
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
    # accepts only the canonical encoding of the bytes
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
    """Return the version of a file that holds *keys*."""
    return 2 if any(key.wrap is Wrap.DERIVED for key in keys) else 1


def new_keys(created_at: str) -> list[Key]:
    """Make an active key for each purpose. *created_at* is RFC 3339."""
    return [new_key(purpose, KeyState.ACTIVE, created_at) for purpose in KeyPurpose]


def new_key(purpose: KeyPurpose, state: KeyState, created_at: str) -> Key:
    """Make a random key."""
    key_id = f"{purpose.value.replace('_', '')}-{secrets.token_hex(4)}"
    wrap = Wrap.DERIVED if purpose is KeyPurpose.SEAL else Wrap.DIRECT
    return Key(key_id, purpose, state, created_at, created_at, secrets.token_bytes(32), wrap)


def age(written: str, now: datetime) -> float:
    """Return the seconds from *written* (RFC 3339) to *now*; infinity if it is not a time."""
    try:
        return (now - datetime.fromisoformat(written)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")


def create_keyring(path: Path, keys: Sequence[Key]) -> None:
    """Write a new keyring, whole or not at all; raise KeyringError if there is one already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KeyringError(f"cannot make the folder {path.parent}: {error.strerror}") from None
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_draft(draft, keys)
        # unlike rename, link fails if there is a keyring: two writers cannot overwrite each other
        os.link(draft, path)
        sync_folder(path.parent)
    except FileExistsError:
        raise KeyringError(f"there is a keyring at {path} already; it was left as it is") from None
    except OSError as error:
        raise KeyringError(f"the keyring {path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def write_draft(draft: Path, keys: Sequence[Key], owner: tuple[int, int] | None = None) -> None:
    """Write *keys* to a new file and sync it to the disk; raises OSError."""
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


def sync_folder(folder: Path) -> None:
    """Sync the names of the files in *folder* to the disk; raises OSError."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
