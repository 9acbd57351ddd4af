"""Row 18: the effect of one tenant's calls on another tenant."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from statistics import quantiles
from time import perf_counter
from typing import Any

import grpc
import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import DAY, Scope
from service.sandbox.faults import Hang
from service.storage.migrations import migrate_apart
from tests.attack.row import Figure, Ground, share
from tests.bench.processes import started
from tests.bench.seed import plant, settings
from tests.support.bluesky import SandboxBluesky
from tests.support.running import MovedClock, Running, refusal_of, running

REPEATS = 3_300
CREATES = 400
DAYS, STEPS_A_DAY = 3, 96
CREATE = "/postcore.profiles.v1.ProfileService/CreateProfile"
CALL_SECONDS = 10.0
LONG_SECONDS = 3600.0
BEGIN_SECONDS = 3.0
MAX_SLOWER = 3
SPARE_SECONDS = 0.25


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    return [await _repeated(ground, part), await _guessed(ground, part)]


async def _repeated(ground: Ground, part: float) -> Figure:
    """Make one connect hang, and repeat it thousands of times by its idempotency key."""
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


async def _guessed(ground: Ground, part: float) -> Figure:
    """Let two tenants guess one account's password, and a third connect it once each day."""
    days = max(1, share(DAYS, part))
    database = ground.folder / "guessed.db"
    clock, waits = MovedClock(), list[str]()
    assert migrate_apart(f"sqlite:///{database}")
    async with (
        SandboxBluesky.started() as sandbox,
        running(database, sandbox.settings(), clock) as service,
    ):
        person = await sandbox.person()
        guessers = [(await service.new_key(tenant_id=await service.new_tenant()))[0] for _ in "ab"]
        guesses = 0
        for step in range(days * STEPS_A_DAY):
            for key in guessers:
                while (
                    await service.refused(person.handle, "wrng-wrng-wrng-wrng", api_key=key)
                ).reason == "INVALID_CREDENTIALS":
                    guesses += 1
            if step % STEPS_A_DAY == STEPS_A_DAY // 2:
                key, _ = await service.new_key(tenant_id=await service.new_tenant())
                try:
                    await service.connect(person.handle, person.app_password, api_key=key)
                except grpc.aio.AioRpcError as error:
                    waits.append(refusal_of(error).reason)
                else:
                    waits.append("passed")
            clock.ahead += DAY // STEPS_A_DAY
    return Figure(
        f"two tenants that guess for {days} days, {guesses} guesses let through",
        f"a third tenant's first try of each day: {', '.join(waits)}",
        waits == ["passed"] * days and guesses > 0,
    )


async def _creates(create: Any, api_key: str, count: int) -> tuple[list[float], int]:
    """Make *count* creates in sequence; return their seconds and the count of failures."""
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
