"""WordPress users: the accounts of the WordPress stand-in, with their application passwords."""

import re
import secrets
import string
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

SIGNS = string.ascii_letters + string.digits
ROLES = {
    "author": (
        *("upload_files", "edit_posts", "edit_published_posts", "publish_posts", "read"),
        *("level_2", "level_1", "level_0", "delete_posts", "delete_published_posts"),
    ),
    "subscriber": ("read", "level_0"),
}
"""The capabilities of each role."""


@dataclass(slots=True)
class AppPassword:
    """An application password. *password* has no spaces."""

    name: str
    app_id: str = ""
    password: str = field(
        default_factory=lambda: "".join(secrets.choice(SIGNS) for _ in range(24)), repr=False
    )
    uuid: str = field(default_factory=lambda: str(uuid4()))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_used: datetime | None = None

    @property
    def in_groups(self) -> str:
        return " ".join(re.findall("....", self.password))

    def as_json(self) -> dict[str, object]:
        used = self.last_used
        return {
            "uuid": self.uuid,
            "app_id": self.app_id,
            "name": self.name,
            "created": f"{self.created:%Y-%m-%dT%H:%M:%S}",
            "last_used": f"{used:%Y-%m-%dT%H:%M:%S}" if used else None,
            "last_ip": "127.0.0.1" if used else None,
        }


@dataclass(slots=True)
class User:
    """A user of the site. *deleted*: application passwords that the owner can have back."""

    user_id: int
    login: str
    name: str
    role: str = "author"
    main_password: str = field(default="a main password", repr=False)
    may_have_app_passwords: bool = True
    app_passwords: dict[str, AppPassword] = field(default_factory=dict)
    deleted: dict[str, AppPassword] = field(default_factory=dict, repr=False)

    @property
    def email(self) -> str:
        return f"{self.login}@example.com"

    @property
    def may_publish(self) -> bool:
        return "publish_posts" in ROLES[self.role]

    def add(self, app_password: AppPassword) -> AppPassword:
        self.app_passwords[app_password.uuid] = app_password
        return app_password

    def revoke_pasted(self) -> None:
        """Delete the application passwords that no application has made."""
        pasted = [each for each in self.app_passwords.values() if not each.app_id]
        for each in pasted:
            self.deleted[each.uuid] = self.app_passwords.pop(each.uuid)

    def revoke_minted(self) -> None:
        """Delete the application passwords that an application has made."""
        self.app_passwords = {
            uuid: each for uuid, each in self.app_passwords.items() if not each.app_id
        }

    def restore_pasted(self) -> None:
        self.app_passwords |= self.deleted
        self.deleted.clear()

    def capabilities(self) -> dict[str, bool]:
        return dict.fromkeys((*ROLES[self.role], self.role), True)


@dataclass(frozen=True, slots=True)
class Login:
    """Who calls: *user*, by *app_password* unless by the main password. *error*: why nobody."""

    user: User | None = None
    app_password: AppPassword | None = None
    error: str = ""


def log_in(header: str, users: dict[str, User], *, takes_main_passwords: bool = False) -> Login:
    """Return who the value of an `authorization` header names."""
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            return Login()
        name, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return Login()
    named = name.lower()
    user = next((each for each in users.values() if named in (each.login, each.email)), None)
    if user is None:
        return Login(error="invalid_email" if "@" in name else "invalid_username")
    if takes_main_passwords and password == user.main_password:
        return Login(user)
    return _by_app_password(user, password)


def _by_app_password(user: User, password: str) -> Login:
    if not user.may_have_app_passwords:
        return Login(error="application_passwords_disabled_for_user")
    # WordPress drops every other sign
    signs = re.sub("[^A-Za-z0-9]", "", password)
    for each in user.app_passwords.values():
        if secrets.compare_digest(each.password, signs):
            each.last_used = datetime.now(UTC)
            return Login(user, each)
    return Login(error="incorrect_password")
