"""Account: one person's account in the sandbox, with its passwords and its standing."""

import hashlib
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """An account's standing, in the words of `com.atproto.sync.getRepoStatus`."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    TAKENDOWN = "takendown"
    SUSPENDED = "suspended"
    DELETED = "deleted"


CHANGES: Mapping[str, str] = {
    "take-down": "Close an account, as moderators do.",
    "lift": "Undo a takedown or a suspension.",
    "suspend": "Close an account for a while, as moderators do.",
    "deactivate": "Deactivate an account, as its owner does.",
    "activate": "Undo a deactivation.",
    "tombstone": "End an account's DID in the directory; its server is not told.",
    "migrate": "Move an account to the other server; prints that one's origin.",
}
"""What an account can be put through at a word, and what that does."""


@dataclass(slots=True)
class AppPassword:
    """A password made for one app; a privileged one reads direct messages too."""

    name: str
    password: str = field(repr=False)
    privileged: bool = False
    revoked: bool = False


@dataclass(slots=True)
class Account:
    """An account as its server keeps it. Change it through `World`, which ends sessions with it."""

    did: str
    handle: str
    email: str
    password: str = field(repr=False)
    display_name: str = ""
    status: Status = Status.ACTIVE
    app_passwords: dict[str, AppPassword] = field(default_factory=dict)

    @property
    def taken_down(self) -> bool:
        """Closed by moderators: a suspension is a takedown with an end."""
        return self.status in (Status.TAKENDOWN, Status.SUSPENDED)

    @property
    def revision(self) -> str:
        """The repository's revision: the shape of a TID, the same in every run."""
        return "3" + _letters(f"revision {self.did}")[:12]

    def app_password(self, password: str) -> AppPassword | None:
        """The app password that *password* is, unless revoked; compared to the letter."""
        for candidate in self.app_passwords.values():
            if candidate.password == password and not candidate.revoked:
                return candidate
        return None


def did_for(handle: str, turn: int = 0) -> str:
    """The DID of *handle*'s account, the same in every run; *turn* tells later holders apart."""
    return "did:plc:" + _letters(f"account {turn} {handle}")[:24]


def _letters(seed: str) -> str:
    # base32 in lower case is a-z2-7: the alphabet of did:plc, of TIDs and of app passwords
    return b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()
