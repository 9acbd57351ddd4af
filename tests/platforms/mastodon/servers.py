"""Servers: Mastodon's API for tests, as snac speaks it, and what users do there."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from service.sandbox.sites.mastodon import MastodonSite, Token, User
from tests.mastodon.server import RealSnac

VERIFY = "/api/v1/accounts/verify_credentials"
VERIFY_APPLICATION = "/api/v1/apps/verify_credentials"
STATUSES = "/api/v1/statuses"


@dataclass(frozen=True)
class Person:
    """A user of a server, and the access token that the owner pastes."""

    name: str
    handle: str
    actor: str
    token: str = field(repr=False)
    password: str = field(default="", repr=False)


class AnyServer(Protocol):
    """The operations of both."""

    origin: str
    host: str

    async def person(self) -> Person: ...

    async def mint(self, person: Person) -> str: ...

    async def remove(self, token: str) -> None: ...

    async def delete(self, person: Person) -> None: ...


class StandIn:
    """The sandbox's site, in snac's words or in Mastodon's."""

    def __init__(self, site: MastodonSite) -> None:
        self.site = site
        self.origin, self.host = site.origin, site.host

    async def person(self) -> Person:
        name = f"u{secrets.token_hex(4)}"
        user = self.site.users[name] = User(name, name)
        handle = f"{name}@{self.site.domain}"
        person = Person(name, handle, self.site.actor(user), secrets.token_urlsafe(32))
        self.site.tokens.append(Token(name, person.token))
        return person

    async def mint(self, person: Person) -> str:
        token = Token(person.name, secrets.token_urlsafe(32))
        self.site.tokens.append(token)
        return token.value

    async def remove(self, token: str) -> None:
        self.site.tokens = [each for each in self.site.tokens if each.value != token]

    async def delete(self, person: Person) -> None:
        del self.site.users[person.name]
        self.site.tokens = [each for each in self.site.tokens if each.user != person.name]


class Real:
    """A real snac. Its commands run in a thread: the service runs in this loop."""

    def __init__(self, server: RealSnac) -> None:
        self.server = server
        self.origin, self.host = server.origin, server.host

    async def person(self) -> Person:
        name = f"u{secrets.token_hex(4)}"
        password = await asyncio.to_thread(self.server.create, name)
        token = await asyncio.to_thread(self.server.token, name, password)
        return Person(name, f"{name}@{self.host}", f"{self.origin}/{name}", token, password)

    async def mint(self, person: Person) -> str:
        return await asyncio.to_thread(self.server.token, person.name, person.password)

    async def remove(self, token: str) -> None:
        self.server.revoke(token)

    async def delete(self, person: Person) -> None:
        await asyncio.to_thread(self.server.delete, person.name)


async def ask(
    url: str,
    token: str = "",
    *,
    method: str = "GET",
    json: object = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Call a server as any client does."""
    sent = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=20) as client:
        return await client.request(method, url, json=json, headers={**sent, **(headers or {})})
