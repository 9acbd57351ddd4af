"""Clocks: set a clock ten years ahead, back to normal, a day back, and back to normal."""

import asyncio

import grpc.aio

from service.domain.model import DAY
from service.storage.migrations import migrate_apart
from tests.support.bluesky import SandboxBluesky
from tests.support.running import MovedClock, refusal_of, running

from .load_during_fault import REFUSED_SECONDS, within
from .row import Figure, Ground

CONNECTED = 3
CALL_SECONDS = 60.0
TEN_YEARS = 3650 * DAY
MINIMUM_CHECK = 2 * DAY


async def clock_put_wrong(ground: Ground, sandbox: SandboxBluesky) -> list[Figure]:
    """Set the clock ten years ahead, back to normal, a day back, and back to normal."""
    folder = ground.folder / "clock"
    folder.mkdir()
    file = folder / "postcore.db"
    assert await asyncio.to_thread(migrate_apart, f"sqlite:///{file}")
    clock = MovedClock()
    wrong: list[str] = []
    tries = 0
    async with running(file, sandbox.settings(), clock) as service:
        people = [await sandbox.person() for _ in range(CONNECTED)]
        keys = [
            (await service.connect(person.handle, person.app_password)).profile_key
            for person in people
        ]

        async def hold(when: str, may_wait: bool = False) -> None:
            nonlocal tries
            owner = await sandbox.person()
            once = f"once {when}"
            first, again = [
                await service.connect(
                    owner.handle, owner.app_password, idempotency_key=once, timeout=CALL_SECONDS
                )
                for _ in range(2)
            ]
            tries += 1 + 3 * len(keys)
            wrong.extend([f"{when}: another reply"] * (first != again))
            for key, person in zip(keys, people, strict=True):
                try:
                    lent = await service.lease(key, timeout=CALL_SECONDS)
                    well = lent.account_id == person.did
                except grpc.aio.AioRpcError as error:
                    well = may_wait and refusal_of(error).reason == "PLATFORM_UNAVAILABLE"
                wrong.extend([f"{when}: no lease"] * (not well))
                verdict = await service.verify(key)
                wrong.extend([f"{when}: flag raised"] * verdict.needs_reconnect)
                same = await service.connect(
                    person.handle, person.app_password, profile_key=key, timeout=CALL_SECONDS
                )
                wrong.extend([f"{when}: not connected again"] * (same.profile_key != key))

        await hold("before")
        for ahead, when in ((TEN_YEARS, "10 years ahead"), (0, "right again")):
            clock.ahead = ahead
            # the sandbox's clock is right, so by this clock all of its tokens have expired
            await hold(when, may_wait=bool(ahead))
        late = f"SELECT 1 FROM connections WHERE next_check_at > {clock.now() + MINIMUM_CHECK}"
        tries += 1
        if not await within(REFUSED_SECONDS, lambda: not service.rows(late)):
            wrong.append("checks put off for years")
        for ahead, when in ((-DAY, "a day back"), (0, "right once more")):
            clock.ahead = ahead
            await hold(when)
    return [
        Figure(
            "clock 10 years ahead, right, a day back, right: leases, verdicts, connects, "
            "idempotency keys, budgets, checks",
            ", ".join(sorted(set(wrong))) or f"0 of {tries} wrong, no flag raised",
            not wrong,
        )
    ]
