"""Watcher: a watch through the stub, message by message, and changes made beside the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from service.app.startup import open_store
from service.domain.clock import Clock, SystemClock
from service.domain.ids import random_id
from service.domain.model import DAY
from service.domain.records import Envelope, LoginWrite, SecretAddress
from service.events.retention import Retention
from service.storage.engine import Transaction
from service.storage.store import SqlStore
from tests.support.running import Refusal, Running, refusal_of

DEADLINE = 30.0
"""Seconds; far longer than any step takes, for busy machines."""


class Watcher:
    """One stream."""

    def __init__(
        self,
        service: Running,
        cursor: str = "",
        *,
        from_oldest: bool = False,
        api_key: str | None = None,
        channel: grpc.aio.Channel | None = None,
        timeout: float | None = None,
    ) -> None:
        stub = profiles_grpc.ProfileServiceStub(channel) if channel else service.profiles
        request = pb.WatchConnectionsRequest(cursor=cursor, from_oldest=from_oldest)
        self.call: Any = stub.WatchConnections(
            request, metadata=service.metadata(api_key), timeout=timeout
        )
        self.cursor = cursor
        self.received = 0

    async def message(self) -> pb.WatchConnectionsResponse:
        """Return the next message."""
        async with asyncio.timeout(DEADLINE):
            message = await self.call.read()
        assert isinstance(message, pb.WatchConnectionsResponse)
        assert message.cursor
        self.cursor = message.cursor
        return message

    async def events(self, count: int) -> list[profile_pb2.ConnectionEvent]:
        """Return the next *count* events, which must end a message."""
        events: list[profile_pb2.ConnectionEvent] = []
        while len(events) < count:
            events += (await self.message()).events
        assert len(events) == count
        return events

    async def refusal(self) -> Refusal:
        """Read to the end and return the error of the stream."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.to_its_end()
        return refusal_of(caught.value)

    async def to_its_end(self) -> None:
        """Read to the end, and count the events."""
        async with asyncio.timeout(DEADLINE):
            while (message := await self.call.read()) is not grpc.aio.EOF:
                self.received += len(message.events)


def narrow(service: Running) -> grpc.aio.Channel:
    """Return a channel with small buffers for a reader that reads nothing."""
    return grpc.aio.insecure_channel(
        service.address,
        [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024)],
    )


async def begun(service: Running, *args: Any, **kwargs: Any) -> Watcher:
    """Open a stream and read its first message."""
    watcher = Watcher(service, *args, **kwargs)
    await watcher.message()
    return watcher


@dataclass
class Beside:
    """Makes changes as another process does, without notifying the server."""

    store: SqlStore
    tenant_id: str

    async def connect(
        self, profile_key: str = "", *, tenant_id: str = "", again: bool = False
    ) -> str:
        """Save a login of a profile, by default a new one; return its key. Makes one event."""
        profile_key = profile_key or f"prof_{random_id()}"
        now = SystemClock().now()
        address = SecretAddress(
            tenant_id or self.tenant_id,
            profile_key,
            "bluesky",
            f"did:plc:{profile_key}",
            "https://pds.example",
            now,
        )
        sealed = Envelope("seal-1", b"sealed")
        name = f"{profile_key[5:]}.example"
        saved = LoginWrite(
            address,
            name,
            sealed,
            sealed,
            now + DAY,
            now + DAY,
            create_profile=not again,
            reservation=None,
            at=now,
        )
        await self.store.connections.save_login(saved)
        return profile_key

    async def disconnect(self, profile_key: str) -> None:
        """Disconnect a profile. Makes one event."""
        now = SystemClock().now()
        await self.store.connections.disconnect(self.tenant_id, profile_key, "bluesky", now)

    async def connect_many(self, count: int) -> None:
        """Write *count* events at once, of profiles that do not exist."""
        key = await self.connect()

        async def job(transaction: Transaction) -> None:
            await transaction.run(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)"
                " INSERT INTO events SELECT e.tenant_id, e.number + n.i, e.kind, e.profile_key,"
                " e.connection, e.occurred_at FROM events e, n"
                " WHERE e.tenant_id = $1 AND e.profile_key = $3",
                self.tenant_id,
                count - 1,
                key,
            )
            await transaction.run(
                "UPDATE tenants SET last_event = last_event + $2 WHERE tenant_id = $1",
                self.tenant_id,
                count - 1,
            )

        await self.store._engine.write(job)

    async def delete(self, profile_key: str) -> None:
        """Delete a profile.

        Makes one event if it is connected, and strips its other events.
        """
        await self.store.profiles.delete(self.tenant_id, profile_key, 1)


def retention_of(store: SqlStore, clock: Clock) -> Retention:
    """Return what deletes from *store*; it keeps events for seven days."""
    return Retention(
        store.events,
        store.webhook_queue,
        store.login_budget,
        store.links,
        store.idempotency,
        clock,
        7,
    )


@asynccontextmanager
async def beside(service: Running) -> AsyncIterator[Beside]:
    async with open_store(service.settings) as store:
        yield Beside(store, service.tenant_id)
