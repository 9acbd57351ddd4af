"""Caller: a client of a server, concerned with one person there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx

from tests.support.bluesky import Person

from .answers import Answer, comparable
from .expected import PROFILE
from .servers import Server, Session

ATPROTO = "/xrpc/com.atproto."
POST = "app.bsky.feed.post"


class Caller:
    """Asks *server* about *person*; `heard` is all that was answered, and by which method."""

    def __init__(self, http: httpx.AsyncClient, server: Server, person: Person) -> None:
        self.server = server
        self.person = person
        self.heard: list[tuple[str, Answer]] = []
        self._overlooked: tuple[str, ...] = ()
        self._http = http
        self._names = {
            person.did: "<did>",
            person.handle: "<handle>",
            server.email(person): "<email>",
            server.origin: "<origin>",
        }

    @classmethod
    @asynccontextmanager
    async def about(cls, person: Person, server: Server) -> AsyncIterator[Self]:
        """One with a client of its own."""
        # what the project asks for as well: nothing is to come compressed
        headers = {"accept-encoding": "identity"}
        async with httpx.AsyncClient(verify=False, trust_env=False, headers=headers) as http:
            yield cls(http, server, person)

    def overlook(self, *keys: str) -> None:
        """Ignore *keys* in all answers from now on: the differences cover them."""
        self._overlooked = keys

    async def migrate(self) -> None:
        """Move the account to a server that answers call `<elsewhere>`."""
        self._names[await self.server.migrate(self.person)] = "<elsewhere>"

    async def rename(self) -> str:
        """Change the handle to one that answers call `new-<handle>`."""
        await self.server.rename(self.person, handle := f"new-{self.person.handle}")
        return handle

    async def log_in(
        self, identifier: str | None = None, password: str | None = None, **more: Any
    ) -> Answer:
        """createSession, by handle and app password by default."""
        body = {
            "identifier": self.person.handle if identifier is None else identifier,
            "password": self.person.app_password if password is None else password,
            **more,
        }
        return await self.ask("POST", "server.createSession", json=body)

    async def session(self, password: str | None = None) -> Session:
        """A login on the way to something else."""
        answer = await self.log_in(password=password)
        self.heard.pop()
        assert answer.status == 200, answer
        return Session.of(answer.raw)

    async def refresh(self, session: Session) -> Answer:
        return await self.ask("POST", "server.refreshSession", session.refresh)

    async def end(self, session: Session) -> Answer:
        return await self.ask("POST", "server.deleteSession", session.refresh)

    async def read(self, session: Session) -> Answer:
        return await self.ask("GET", "server.getSession", session.access)

    async def resolve(self, handle: str | None = None) -> Answer:
        handle = self.person.handle if handle is None else handle
        return await self.ask("GET", "identity.resolveHandle", params={"handle": handle})

    async def account_status(self, did: str | None = None) -> Answer:
        """getRepoStatus."""
        params = {"did": did or self.person.did}
        return await self.ask("GET", "sync.getRepoStatus", params=params)

    async def write(self, session: Session) -> Answer:
        """createRecord: a post of one word."""
        record = {"$type": POST, "text": "hi", "createdAt": "2026-01-01T00:00:00Z"}
        body = {"repo": self.person.did, "collection": POST, "record": record}
        return await self.ask("POST", "repo.createRecord", session.access, json=body)

    async def profile(self, did: str | None = None) -> Answer:
        """getRecord: where the account shows a name."""
        where = {"repo": did or self.person.did, "collection": PROFILE, "rkey": "self"}
        return await self.ask("GET", "repo.getRecord", params=where)

    async def document(self, did: str | None = None) -> Answer:
        """What the directory has."""
        url = f"{self.server.plc}/{did or self.person.did}"
        return self._note("directory", await self._http.get(url))

    async def ask(self, verb: str, method: str, token: str | None = None, **request: Any) -> Answer:
        """Any method of `com.atproto.`, with a bearer token or without."""
        headers = request.pop("headers", {})
        if token is not None:
            headers = {"authorization": f"Bearer {token}", **headers}
        url = f"{self.server.origin}{ATPROTO}{method}"
        response = await self._http.request(verb, url, headers=headers, **request)
        return self._note(method.rpartition(".")[2], response)

    def _note(self, method: str, response: httpx.Response) -> Answer:
        answer = comparable(response, self._names, self.server.now()).overlooking(*self._overlooked)
        self.heard.append((method, answer))
        return answer
