"""Real: the real server as one of the servers, and StrictReal, which is as strict as in earnest."""

import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
import pytest

from service.sandbox.tokens import sign
from tests.pds import server as pds
from tests.sandbox.caller import parts
from tests.support.bluesky import Person, RealBluesky

from .servers import Session

CODE = "AAAAA-BBBBB"


class Real(RealBluesky):
    """The real server, where all is done as owners and administrators do it."""

    name = "real"

    def __init__(self, server: pds.RealServer) -> None:
        super().__init__(server)
        self.plc = server.plc
        self._resident: Person | None = None

    def now(self) -> float:
        return time.time()

    def email(self, person: Person) -> str:
        return f"{person.handle}@example.com"

    async def resident(self) -> Person:
        # making an account is what takes a test its time
        self._resident = self._resident or await self.person()
        return self._resident

    async def app_password(self, person: Person, name: str, *, privileged: bool = False) -> str:
        return await self.server.create_app_password(person.behind, name, privileged)

    async def change_password(self, person: Person, password: str) -> None:
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            answer = await http.post(
                f"{self.origin}/xrpc/com.atproto.admin.updateAccountPassword",
                json={"did": person.did, "password": password},
                auth=("admin", "admin-pass"),
            )
        assert answer.status_code == 200, answer.text

    async def activate(self, person: Person) -> None:
        await self.server.activate(person.behind)

    async def lift(self, person: Person) -> None:
        await self.server.lift(person.did)

    async def delete(self, person: Person) -> None:
        await self.server.delete_account(person.did)

    async def rename(self, person: Person, handle: str) -> None:
        await self.server.update_handle(person.behind, handle)

    async def tombstone(self, person: Person) -> None:
        await self.server.tombstone(person.did)

    async def migrate(self, person: Person) -> str:
        # there is no other server: the end of a migration is all that the old one sees of it
        await self.server.move(person.did, elsewhere := "https://elsewhere.example")
        await self.server.deactivate(person.behind)
        return elsewhere


class StrictReal(Real):
    """A real server with all its limits, whose sessions can be made older.

    The owner of `careful_handle`, alone of all, has to give CODE besides the main password.
    """

    def __init__(
        self, server: pds.RealServer, secret: bytes, data: Path, careful_handle: str
    ) -> None:
        super().__init__(server)
        self.careful_handle = careful_handle
        self._secret = secret
        self._database = data / "account.sqlite"

    @classmethod
    async def start(cls, folder: Path, data: Path) -> Self:
        """A new one out of the packages in *folder*; *data* is where it keeps its own."""
        secret, careful_handle = secrets.token_hex(16), "careful.test"
        with pytest.MonkeyPatch.context() as patch:
            # the one thing of its environment that this server is to see besides
            patch.setattr(pds, "INHERITED", (*pds.INHERITED, "PDS_JWT_SECRET"))
            patch.setenv("PDS_JWT_SECRET", secret)
            server = await pds.RealServer.start(
                folder, rate_limits=True, second_factor={careful_handle: CODE}, data=data
            )
        return cls(server, secret.encode(), data, careful_handle)

    async def later(self, session: Session, seconds: float) -> Session:
        """The server's clock cannot be moved: the session is made older instead."""
        _, claims = parts(session.refresh)
        with closing(sqlite3.connect(self._database)) as database, database:
            database.execute(
                "UPDATE refresh_token SET expiresAt = "
                "strftime('%Y-%m-%dT%H:%M:%fZ', expiresAt, ?) WHERE id = ?",
                (f"-{seconds} seconds", claims["jti"]),
            )
        return Session(self._older(session.access, seconds), self._older(session.refresh, seconds))

    def _older(self, token: str, seconds: float) -> str:
        header, claims = parts(token)
        times = {name: claims[name] - int(seconds) for name in ("iat", "exp")}
        return sign(self._secret, header["typ"], claims | times)
