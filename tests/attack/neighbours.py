"""Row 18: what one tenant's calls take from another's."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from statistics import quantiles
from time import perf_counter
from typing import Any

import grpc
import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.model import Scope
from service.sandbox.faults import Hang
from tests.bench.processes import started
from tests.bench.seed import plant, settings
from tests.bluesky import SandboxBluesky
from tests.running import Running, refusal_of

from .row import Figure, Ground, share

REPEATS = 3_300
CREATES = 400
CREATE = "/postcore.profiles.v1.ProfileService/CreateProfile"
CALL_SECONDS = 10.0
LONG_SECONDS = 3600.0
BEGIN_SECONDS = 3.0
MAX_SLOWER = 3
SPARE_SECONDS = 0.25


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    return [await _repeated(ground, part)]


async def _repeated(ground: Ground, part: float) -> Figure:
    """A connect to a server that hangs, and thousands of repeats behind its idempotency key."""
    repeats, creates = share(REPEATS, part), max(50, share(CREATES, part))
    async with SandboxBluesky.started() as sandbox:
        url = f"sqlite:///{ground.folder / 'repeated.db'}"
        read = settings(ground.folder, url, sandbox.settings())
        await plant(read, 1, 1)
        log = ground.folder / "log"
        async with (
            started(("service", "serve"), read, "", log) as server,
            grpc.aio.insecure_channel(server.address) as channel,
            grpc.aio.insecure_channel(
                server.address, [("grpc.use_local_subchannel_pool", 1)]
            ) as alone,
        ):
            service = Running(read, server.address, channel)
            service.tenant_id = await service.new_tenant()
            service.api_key, _ = await service.new_key(Scope.PROFILES_WRITE)
            other, _ = await service.new_key(
                Scope.PROFILES_WRITE, tenant_id=await service.new_tenant()
            )
            create: Any = alone.unary_unary(CREATE)
            usual, _ = await _creates(create, other, creates)
            person = await sandbox.person()
            sandbox.server.breakages.add(Hang())
            heard: Counter[str] = Counter()

            async def connect() -> None:
                try:
                    await service.connect(
                        person.handle,
                        person.app_password,
                        idempotency_key="the same",
                        timeout=LONG_SECONDS,
                    )
                except grpc.aio.AioRpcError as error:
                    heard[refusal_of(error).reason] += 1

            calls = [asyncio.create_task(connect()) for _ in range(repeats)]
            await asyncio.sleep(BEGIN_SECONDS)
            beside, failed = await _creates(create, other, creates)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            sandbox.server.breakages.clear()
    slow, fast = (quantiles(sample, n=100)[98] for sample in (beside, usual))
    return Figure(
        f"one connect that hangs and {repeats} repeats of its idempotency key, an hour each",
        f"CreateProfile of another tenant: {failed} of {creates} failed, p99 {1000 * slow:.1f} ms,"
        f" {1000 * fast:.1f} without; of the repeats {heard['RATE_LIMIT_EXCEEDED']} were refused",
        not failed and (slow < MAX_SLOWER * fast or (part != 1 and slow < SPARE_SECONDS)),
    )


async def _creates(create: Any, api_key: str, count: int) -> tuple[list[float], int]:
    """The seconds that so many creates take, one after the other, and how many failed."""
    taken, failed = [], 0
    for _ in range(count):
        began = perf_counter()
        try:
            await create(
                pb.CreateProfileRequest().SerializeToString(),
                metadata=(("x-api-key", api_key),),
                timeout=CALL_SECONDS,
            )
        except grpc.aio.AioRpcError:
            failed += 1
        taken.append(perf_counter() - began)
    return taken, failed
