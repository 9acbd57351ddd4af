"""Server: a Bluesky server and its directory, with all that can happen to an account there."""

from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from tests.sandbox.caller import parts
from tests.support.bluesky import Bluesky, Person


@dataclass(frozen=True)
class Session:
    """The tokens that a login or a refresh hands out."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        return cls(body["accessJwt"], body["refreshJwt"])

    @property
    def id(self) -> str:
        """The refresh token's."""
        return str(parts(self.refresh)[1]["jti"])


class Server(Bluesky, Protocol):
    """The sandbox or the real server; `origin` is the server's own, `plc` its directory's."""

    name: str
    plc: str

    def now(self) -> float:
        """Its clock, in seconds since 1970."""

    def email(self, person: Person) -> str: ...

    async def resident(self) -> Person:
        """Somebody whom tests share, and whose account none of them changes."""

    async def app_password(self, person: Person, name: str, *, privileged: bool = False) -> str:
        """Make another app password; the first is named "postcore"."""

    async def change_password(self, person: Person, password: str) -> None:
        """Change the main password."""

    async def activate(self, person: Person) -> None:
        """Undo a deactivation."""

    async def lift(self, person: Person) -> None:
        """Undo a takedown."""

    async def delete(self, person: Person) -> None:
        """Delete the account, and leave its DID as it is."""

    async def rename(self, person: Person, handle: str) -> None: ...

    async def tombstone(self, person: Person) -> None:
        """End the DID itself."""

    async def migrate(self, person: Person) -> str:
        """Move the account to another server, whose origin comes back; here it stays behind."""


class Strict(Server, Protocol):
    """A server that makes logins wait and limits them, as in earnest, and whose time can pass."""

    async def later(self, session: Session, seconds: float) -> Session:
        """*session* as it is in so many seconds."""
