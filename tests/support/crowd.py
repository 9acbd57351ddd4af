"""Crowd: concurrent callers of all kinds, on one channel to many nodes; every call is counted."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from time import monotonic
from typing import Any

import grpc
import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.support.bluesky import Person
from tests.support.running import Running, refusal_of

METHODS = ("GetProfile", "ListProfiles", "LeaseSession", "ConnectProfile")
READERS = 3
"""Callers of each of the three methods that their channel retries by itself."""
PAUSE, CONNECT_PAUSE = 0.01, 0.1
SECONDS = 20.0
CONNECT_SECONDS = 45.0
"""Longer than a key stays reserved for a connect whose node has died."""
PAGE = 50


class MissingData(Exception):
    """An answer lacks acknowledged data."""


@dataclass
class Tally:
    """The calls of one method. *failures*: by status. *retried*: by the caller.

    *lost*: acknowledged data that is missing.
    """

    method: str
    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    lost: int = 0
    longest: float = 0.0

    @property
    def failed(self) -> int:
        return self.failures.total()


class Crowd:
    """Calls of one tenant on its own connections; *people*: the owners of the accounts."""

    def __init__(self, client: Running, people: Sequence[Person]) -> None:
        self._client = client
        self._people = people
        self._stopping = asyncio.Event()
        self._begun: dict[object, tuple[str, float]] = {}
        self.tallies = {method: Tally(method) for method in METHODS}
        self.acknowledged: list[tuple[str, str]] = []
        """Each connect's idempotency key and profile."""
        self.first: tuple[str, ...] = ()

    async def settle(self, count: int) -> None:
        """Connect *count* profiles before the crowd starts; they come first on all pages."""
        for person in islice(cycle(self._people), count):
            await self._connect(person)
        self.first = tuple(profile for _, profile in self.acknowledged)
        await self._client.lease(self.first[0])  # creates its key

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Make calls until the end of the block, and let each of them finish."""
        readers = [self._again(call) for call in (self._get, self._list, self._lease)] * READERS
        connectors = [
            self._again(partial(self._connect, person), CONNECT_PAUSE) for person in self._people
        ]
        async with asyncio.TaskGroup() as tasks:
            for work in (*readers, *connectors):
                tasks.create_task(work())
            try:
                yield
            finally:
                self._stopping.set()

    def under_way(self, since: float) -> Counter[str]:
        """Count the calls of each method that have taken *since* seconds or longer."""
        now = monotonic()
        return Counter(name for name, begun in self._begun.values() if now - begun >= since)

    def _again(
        self, call: Callable[[], Awaitable[None]], pause: float = PAUSE
    ) -> Callable[[], Any]:
        async def work() -> None:
            while not self._stopping.is_set():
                await call()
                await asyncio.sleep(pause)

        return work

    async def _get(self) -> None:
        _, key = secrets.choice(self.acknowledged)

        async def get() -> None:
            reply = await self._client.profiles.GetProfile(
                pb.GetProfileRequest(profile_key=key),
                metadata=self._client.metadata(),
                timeout=SECONDS,
            )
            if not reply.profile.connected_platforms:
                raise MissingData

        await self._counted("GetProfile", get)

    async def _list(self) -> None:
        async def list_first() -> None:
            reply = await self._client.profiles.ListProfiles(
                pb.ListProfilesRequest(page_size=PAGE),
                metadata=self._client.metadata(),
                timeout=SECONDS,
            )
            if not set(self.first[:PAGE]) <= {profile.profile_key for profile in reply.profiles}:
                raise MissingData

        await self._counted("ListProfiles", list_first)

    async def _lease(self) -> None:
        _, key = secrets.choice(self.acknowledged)

        async def lease() -> None:
            await self._client.lease(key, timeout=SECONDS)

        await self._counted("LeaseSession", lease)

    async def _connect(self, person: Person) -> None:
        """Connect with an idempotency key; repeat while no node answers."""
        idempotency_key = secrets.token_hex(8)

        async def connect() -> None:
            while True:
                try:
                    reply = await self._client.connect(
                        person.handle,
                        person.app_password,
                        idempotency_key=idempotency_key,
                        timeout=CONNECT_SECONDS,
                    )
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    self.tallies["ConnectProfile"].retried += 1
                    await asyncio.sleep(CONNECT_PAUSE)
                else:
                    self.acknowledged.append((idempotency_key, reply.profile_key))
                    return

        await self._counted("ConnectProfile", connect)

    async def _counted(self, method: str, call: Callable[[], Awaitable[None]]) -> None:
        tally, begun, token = self.tallies[method], monotonic(), object()
        tally.sent += 1
        self._begun[token] = method, begun
        try:
            await call()
        except MissingData:
            tally.lost += 1
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                tally.lost += 1
            reason = refusal_of(error).reason
            tally.failures[f"{error.code().name} {reason or error.details()}"] += 1
        finally:
            del self._begun[token]
            tally.longest = max(tally.longest, monotonic() - begun)
