"""Sandbox: the sandbox as one of the servers, its clock in the test's hand."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from service.sandbox import sandbox
from service.sandbox.faults import LoginWindows
from service.sandbox.network import Network
from tests.support.bluesky import Person, SandboxBluesky

from .servers import Session

# the real server's, in seconds
LOGIN_WAIT = 0.35


@dataclass
class Clock:
    """A clock that stands until it is moved, in seconds since 1970."""

    at: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.at


class Sandbox(SandboxBluesky):
    """The sandbox, where all is done by the switches of its `Network`."""

    name = "sandbox"

    def __init__(self, running: sandbox.Sandbox, clock: Clock) -> None:
        super().__init__(running.first)
        self.plc = self.origin
        self._network = running.network
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, *, strict: bool = False) -> AsyncIterator[Self]:
        """A new one; a *strict* one makes logins wait and limits them."""
        clock = Clock()
        network = Network(now=clock, login_wait=LOGIN_WAIT if strict else 0)
        if strict:
            network.break_(LoginWindows())
        async with sandbox.Sandbox(network) as running:
            yield cls(running, clock)

    def now(self) -> float:
        return self._clock()

    def email(self, person: Person) -> str:
        return str(person.behind.email)

    async def resident(self) -> Person:
        return await self.person()

    async def app_password(self, person: Person, name: str, *, privileged: bool = False) -> str:
        _, password = self._network.create_app_password(
            person.did, called=name, privileged=privileged
        )
        return password

    async def change_password(self, person: Person, password: str) -> None:
        self._network.change_password(person.did, password)

    async def activate(self, person: Person) -> None:
        self._network.activate(person.did)

    async def lift(self, person: Person) -> None:
        self._network.lift(person.did)

    async def suspend(self, person: Person) -> None:
        """What Bluesky does, and the published server cannot."""
        self._network.suspend(person.did)

    async def delete(self, person: Person) -> None:
        self._network.delete(person.did)

    async def rename(self, person: Person, handle: str) -> None:
        self._network.rename(person.did, handle)

    async def tombstone(self, person: Person) -> None:
        self._network.tombstone(person.did)

    async def migrate(self, person: Person) -> str:
        return self._network.migrate(person.did)

    async def later(self, session: Session, seconds: float) -> Session:
        self.pass_time(seconds)
        return session

    def pass_time(self, seconds: float) -> None:
        self._clock.at += seconds
