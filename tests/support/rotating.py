"""Rotating: load beside a rotation of the keyring's keys, and its checks."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle

import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.startup import open_store
from service.crypto.keyring import KeyPurpose, Keyring
from service.crypto.rewrap import FIRST
from service.crypto.vault import Vault
from service.domain.records import Purpose
from tests.support.bluesky import Person
from tests.support.live_changes import age, done
from tests.support.running import Running, refusal_of


def active(service: Running) -> str:
    return Keyring(service.settings.keyring_file).active(KeyPurpose.SEAL).key_id


async def activated(service: Running, purpose: str = "seal") -> str:
    """Create and activate a key; return its id."""
    added = await done(service, "keyring", "add", "--purpose", purpose)
    await done(service, "keyring", "activate", added, "--at-once")
    age(service.settings.keyring_file)
    return added


def sealed_under(service: Running) -> Counter[str]:
    """Count the secrets that each key seals."""
    return Counter(
        row["ring_key_id"]
        for row in service.rows(
            "SELECT ring_key_id FROM credentials UNION ALL SELECT ring_key_id FROM sessions"
        )
    )


class Load:
    """Calls of every kind, in sequence in several tasks, and their outcomes."""

    def __init__(self, service: Running, people: dict[str, Person]) -> None:
        self.failed: list[str] = []
        self.answered: Counter[str] = Counter()
        self._service = service
        self._people = people

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        kinds = (self._lease, self._refresh, self._reconnect, self._read)
        # each on its own connections: a reconnect may overtake a refresh
        tasks = [
            asyncio.create_task(self._again_and_again(kind, *one))
            for kind, one in zip(cycle(kinds), self._people.items(), strict=False)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _again_and_again(
        self, kind: Callable[[str, Person], Awaitable[None]], profile_key: str, person: Person
    ) -> None:
        while True:
            try:
                await kind(profile_key, person)
                self.answered[kind.__name__] += 1
            except grpc.aio.AioRpcError as error:
                self.failed.append(f"{kind.__name__}: {refusal_of(error)}")
            await asyncio.sleep(0.02)

    async def _lease(self, profile_key: str, _: Person) -> None:
        await self._service.lease(profile_key, timeout=30)

    async def _refresh(self, profile_key: str, _: Person) -> None:
        # as if the last refresh were long ago
        forget = "UPDATE sessions SET refreshed_at = 1 WHERE profile_key = ?"
        await self._service.execute(forget, profile_key)
        token = (await self._service.lease(profile_key, timeout=30)).access_token
        await self._service.lease(profile_key, rejected=token, timeout=30)

    async def _reconnect(self, profile_key: str, person: Person) -> None:
        await self._service.connect(
            person.handle, person.app_password, profile_key=profile_key, timeout=30
        )

    async def _read(self, profile_key: str, _: Person) -> None:
        await self._service.profiles.GetProfile(
            pb.GetProfileRequest(profile_key=profile_key),
            metadata=self._service.metadata(),
            timeout=30,
        )


async def sealed_elsewhere(service: Running, keyring: Keyring) -> None:
    """Seal every secret with the key of another keyring, as another process would."""
    ours, theirs = Vault(Keyring(service.settings.keyring_file)), Vault(keyring)
    async with open_store(service.settings) as store:
        for purpose in (Purpose.CREDENTIAL, Purpose.SESSION):
            found = await store.secrets.sealed_otherwise(purpose, "", FIRST, 100)
            assert await store.secrets.replace_unchanged(
                [
                    (
                        one,
                        theirs.seal(
                            ours.open(one.sealed, purpose, one.address), purpose, one.address
                        ),
                    )
                    for one in found
                ]
            )


def standing(service: Running) -> list[object]:
    """Return everything that a verdict would change."""
    return [
        service.rows("SELECT state, reconnect_reason, checked_at FROM connections"),
        service.rows("SELECT * FROM events"),
    ]
