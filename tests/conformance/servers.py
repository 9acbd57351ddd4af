"""Server: a Bluesky server and its directory, with the operations on an account."""

from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from tests.sandbox.caller import parts
from tests.support.bluesky import Bluesky, Person


@dataclass(frozen=True)
class Session:
    """The tokens of a login or a refresh."""

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
        """A person that tests share; no test changes the account."""

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
        """Tombstone the DID."""

    async def migrate(self, person: Person) -> str:
        """Move the account to another server and return its origin; keep a deactivated copy."""


class Strict(Server, Protocol):
    """A server that delays and limits logins as in production, and whose clock can be moved."""

    async def later(self, session: Session, seconds: float) -> Session:
        """Return *session* as it is in that many seconds."""
