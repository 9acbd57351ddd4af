"""Account: an account with its passwords and status; and SEEDS: the accounts at the start."""

import hashlib
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """The status of an account, by its name in `com.atproto.sync.getRepoStatus`."""

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
    "tombstone": "End an account's DID in the directory; its server keeps the account.",
    "migrate": "Move an account to the other server; prints that one's origin.",
}
"""The operations on an account that take no argument, with their help texts."""


@dataclass(slots=True)
class AppPassword:
    """A password for one app. A privileged one also allows access to direct messages."""

    name: str
    password: str = field(repr=False)
    privileged: bool = False
    revoked: bool = False


@dataclass(slots=True)
class Account:
    """An account at its server. Change it through `World`, which also ends sessions."""

    did: str
    handle: str
    email: str
    password: str = field(repr=False)
    display_name: str = ""
    status: Status = Status.ACTIVE
    app_passwords: dict[str, AppPassword] = field(default_factory=dict)

    @property
    def taken_down(self) -> bool:
        """Closed by moderators. A suspension is a takedown with an end."""
        return self.status in (Status.TAKENDOWN, Status.SUSPENDED)

    @property
    def revision(self) -> str:
        """The repository's revision: in the form of a TID, and the same in every run."""
        return "3" + _letters(f"revision {self.did}")[:12]

    def app_password(self, password: str) -> AppPassword | None:
        """Return the app password that equals *password*, unless it is revoked."""
        for candidate in self.app_passwords.values():
            if candidate.password == password and not candidate.revoked:
                return candidate
        return None


def did_for(handle: str, turn: int = 0) -> str:
    """Return a DID for *handle*, the same in every run. Later owners have another *turn*."""
    return "did:plc:" + _letters(f"account {turn} {handle}")[:24]


def _letters(seed: str) -> str:
    # base32 in lower case is a-z2-7: the alphabet of did:plc, of TIDs and of app passwords
    return b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()


@dataclass(frozen=True, slots=True)
class Seed:
    """An account that the sandbox starts with. Its app password is named "sandbox"."""

    handle: str
    password: str = field(repr=False)
    app_password: str = field(repr=False)
    display_name: str
    status: Status = Status.ACTIVE
    privileged: bool = False


# fmt: off
SEEDS = (
    # the specification's example
    Seed("user.bsky.social", "correct-horse-battery", "abcd-efgh-ijkl-mnop", "User"),
    # a main password in the form of an app password
    Seed("alice.test", "main-pass-word-used", "alic-eapp-pass-word", "Alice"),
    # a handle that is the owner's own domain
    Seed("custom.example-domain.com", "a-domain-of-my-own", "cust-omdo-main-pass", "Custom"),
    # an app password with access to direct messages
    Seed("privileged.bsky.social", "messages-as-well", "priv-ileg-eapp-pass", "Privileged",
         privileged=True),
    Seed("deactivated.bsky.social", "gone-for-a-while", "deac-tiva-teda-pass", "Deactivated",
         status=Status.DEACTIVATED),
    Seed("takendown.bsky.social", "closed-by-moderators", "take-ndow-napp-pass", "Taken down",
         status=Status.TAKENDOWN),
)
# fmt: on
