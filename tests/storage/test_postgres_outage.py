"""Outages of PostgreSQL under load: what callers hear, and that all comes back by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.readiness import Readiness
from service.storage.migrations import migrate_apart
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore
from tests.support.bluesky import SandboxBluesky
from tests.support.postgres import Cluster
from tests.support.running import Refusal, Running, refusal_of, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
WORKERS = 8


@pytest.fixture
def cluster(postgres_programs: Path) -> Iterator[Cluster]:
    """A server of the test's own, to be stopped and killed."""
    cluster = Cluster.started(postgres_programs, durable=True)
    yield cluster
    cluster.remove()


@pytest.fixture
async def service(
    cluster: Cluster, sandbox: SandboxBluesky, database: Path
) -> AsyncIterator[Running]:
    url = cluster.url(await cluster.new_database())
    assert await asyncio.to_thread(migrate_apart, url)
    # on a fast machine the load is over the limit of a key
    settings = {**sandbox.settings(), "DATABASE_URL": url, "CALLS_PER_SECOND": "1000000"}
    async with running(database, settings) as started:
        yield started


class Load:
    """Callers that create profiles and read them, and what they heard."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self.acknowledged: list[str] = []
        self.refusals: set[str] = set()
        self.hasty = 0
        """Refusals that do not say when to ask again."""
        self._more = asyncio.Condition()

    @asynccontextmanager
    async def run_in_background(self) -> AsyncIterator[None]:
        workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            outcomes = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes

    async def more(self, count: int) -> None:
        """Wait until *count* more were acknowledged."""
        enough = len(self.acknowledged) + count
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: len(self.acknowledged) >= enough)

    async def _work(self) -> None:
        profiles, metadata = self._service.profiles, self._service.metadata()
        while True:
            try:
                created = await profiles.CreateProfile(
                    pb.CreateProfileRequest(), metadata=metadata, timeout=60
                )
                async with self._more:
                    self.acknowledged.append(created.profile_key)
                    self._more.notify_all()
                await profiles.GetProfile(
                    pb.GetProfileRequest(profile_key=created.profile_key),
                    metadata=metadata,
                    timeout=60,
                )
            except grpc.aio.AioRpcError as error:
                refusal = refusal_of(error)
                self.refusals.add(refusal.reason)
                self.hasty += refusal.retry_after is None
                await asyncio.sleep(0.02)


async def test_an_outage_is_reported_and_loses_nothing(service: Running, cluster: Cluster) -> None:
    """Stopped or killed: SERVICE_UNAVAILABLE and NOT_SERVING, then calls work again without a
    restart; every acknowledged write is kept."""
    load = Load(service)
    watch = health_pb2_grpc.HealthStub(service.channel).Watch(health_pb2.HealthCheckRequest())

    async def reported(status: object) -> None:
        async with asyncio.timeout(60):
            async for reply in watch:
                if reply.status == status:
                    return

    async def reported_over_http(status: int) -> None:
        # may follow gRPC with a small delay
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while (await client.get(f"http://{service.http}/health")).status_code != status:
                await asyncio.sleep(0.02)

    async with load.run_in_background():
        await load.more(20)
        for strike in (cluster.stop, cluster.kill):
            await asyncio.to_thread(strike)
            await reported(NOT_SERVING)
            await reported_over_http(503)
            refusal = await refused(service, load.acknowledged[0])
            assert (refusal.code, refusal.reason) == (
                grpc.StatusCode.UNAVAILABLE,
                "SERVICE_UNAVAILABLE",
            )
            assert refusal.retry_after
            await asyncio.to_thread(cluster.start)
            await reported(SERVING)
            await reported_over_http(200)
            await load.more(20)
    watch.cancel()
    assert load.refusals == {"SERVICE_UNAVAILABLE"}
    kept = {row["profile_key"] for row in service.rows("SELECT profile_key FROM profiles")}
    assert kept >= set(load.acknowledged)


async def refused(service: Running, profile_key: str) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.profiles.GetProfile(
            pb.GetProfileRequest(profile_key=profile_key), metadata=service.metadata(), timeout=60
        )
    return refusal_of(caught.value)


async def test_a_store_on_a_file_is_watched_too(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The health status changes once when the store fails, and once when it recovers."""
    monkeypatch.setattr("service.app.readiness.INTERVAL_SECONDS", 0.01)
    statuses: asyncio.Queue[bool] = asyncio.Queue()

    class Server:
        def set_serving(self, serving: bool) -> None:
            statuses.put_nowait(serving)

    store = SqlStore(await SqliteEngine.open(database))
    watch = asyncio.create_task(Readiness(store.facts, [Server()]).run())
    async with asyncio.timeout(60):
        await store.close()
        assert await statuses.get() is False
        store.facts._engine = again = await SqliteEngine.open(database)
        assert await statuses.get() is True
    watch.cancel()
    await asyncio.wait([watch])
    assert statuses.empty()
    await again.close()
