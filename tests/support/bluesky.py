"""Bluesky for tests: accounts to create and break, on the sandbox and on the real server."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import httpx

from service.sandbox.accounts import Status
from service.sandbox.faults import RateLimit
from service.sandbox.server import SandboxServer
from service.sandbox.world import World, plant
from tests.pds import server as real

SESSION = "/xrpc/com.atproto.server."
CREATE = f"{SESSION}createSession"


@dataclass(frozen=True)
class Person:
    """An account's owner, and one of their app passwords."""

    handle: str
    did: str
    main_password: str = field(repr=False)
    app_password: str = field(repr=False)
    behind: Any = field(repr=False)


class Bluesky(Protocol):
    """The operations of both servers."""

    origin: str

    def settings(self) -> dict[str, str]:
        """The settings that point the service to it."""

    async def person(self, main_password: str = "") -> Person:
        """Create an account with an app password."""

    async def revoke(self, person: Person) -> None: ...

    async def deactivate(self, person: Person) -> None: ...

    async def take_down(self, person: Person) -> None: ...

    async def show_name(self, person: Person, display_name: str) -> None:
        """Give the account a display name."""

    async def counts(self) -> dict[str, int]:
        """Return how often each path was called."""


def settings(pds: str, plc: str) -> dict[str, str]:
    return {"PLC_URL": plc, "HANDLE_RESOLVER_URL": pds, "TRUSTED_ORIGINS": pds}


async def is_live(origin: str, refresh_token: str) -> bool:
    """Return whether a session is still valid at the server."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        answer = await client.post(
            f"{origin}{SESSION}refreshSession",
            headers={"authorization": f"Bearer {refresh_token}"},
        )
    assert answer.status_code in (200, 400), answer.text
    return answer.status_code == 200


def some_password() -> str:
    """Return a random app password."""
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


class SandboxBluesky:
    """The sandbox, with direct access to its world."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.world = server.world
        self.origin = server.origin

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator[Self]:
        server = SandboxServer(plant(World()))
        await server.start()
        try:
            yield cls(server)
        finally:
            await server.stop()

    def settings(self) -> dict[str, str]:
        return settings(self.origin, self.origin)

    async def person(self, main_password: str = "") -> Person:
        handle = f"u{secrets.token_hex(6)}.test"
        main_password = main_password or secrets.token_hex(8)
        account = self.world.create(handle, main_password)
        app_password = some_password()
        self.world.add_app_password(account.did, "postcore", app_password)
        return Person(handle, account.did, main_password, app_password, account)

    async def revoke(self, person: Person) -> None:
        self.world.revoke_app_password(person.did, "postcore")

    async def deactivate(self, person: Person) -> None:
        self.world.set_status(person.did, Status.DEACTIVATED)

    async def take_down(self, person: Person) -> None:
        self.world.set_status(person.did, Status.TAKENDOWN)

    async def show_name(self, person: Person, display_name: str) -> None:
        self.world.account(person.did).display_name = display_name

    def rate_limit(self, person: Person) -> None:
        """Make the server answer 429 to logins of that account."""
        self.server.breakages.add(RateLimit(), method="createSession", account=person.did)

    async def counts(self) -> dict[str, int]:
        return dict(self.server.counts)

    @property
    def logins(self) -> int:
        return self.server.counts[CREATE]


class RealBluesky:
    """The real server."""

    def __init__(self, server: real.RealServer) -> None:
        self.server = server
        self.origin = server.pds

    def settings(self) -> dict[str, str]:
        return settings(self.server.pds, self.server.plc)

    async def person(self, main_password: str = "") -> Person:
        handle = f"u{secrets.token_hex(6)}.test"
        main_password = main_password or secrets.token_hex(8)
        account = await self.server.create_account(handle, main_password)
        app_password = await self.server.create_app_password(account, "postcore")
        return Person(handle, account.did, main_password, app_password, account)

    async def revoke(self, person: Person) -> None:
        await self.server.revoke_app_password(person.behind, "postcore")

    async def deactivate(self, person: Person) -> None:
        await self.server.deactivate(person.behind)

    async def take_down(self, person: Person) -> None:
        await self.server.take_down(person.did)

    async def show_name(self, person: Person, display_name: str) -> None:
        record = {"$type": "app.bsky.actor.profile", "displayName": display_name}
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            answer = await client.post(
                f"{self.origin}/xrpc/com.atproto.repo.putRecord",
                headers={"authorization": f"Bearer {person.behind.access_token}"},
                json={
                    "repo": person.did,
                    "collection": record["$type"],
                    "rkey": "self",
                    "record": record,
                },
            )
        assert answer.status_code == 200, answer.text

    async def counts(self) -> dict[str, int]:
        return await self.server.counts()
