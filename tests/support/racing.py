"""Racing: a process that writes to the same rows as others at the same moment.

    python -m tests.support.racing SEED ROUNDS

Reads the database's URL from standard input, prints `ready`, waits for a line, runs the rounds, and
prints as JSON the count of each outcome: `done`, a refusal's reason, or an exception's type.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.domain.errors import ServiceError
from service.domain.model import ApiKey, Profile, Tenant
from service.domain.records import Debit, LoginPurpose, Reservation
from service.storage.postgres import PostgresEngine
from service.storage.store import SqlStore
from tests.storage.test_store import FINGERPRINT, NOW, RESERVATION, RESERVED_UNTIL, login

ROOT = Path(__file__).parents[2]
POOL_SIZE = 6
CALLS = 12
"""Concurrent calls of one process in one round."""
PROFILES = 2
MAX_ROUNDS = 1000
"""Call numbers differ by process above it, and by round below it."""
DEADLINE_SECONDS = 300.0
Write = Callable[[SqlStore, int], Coroutine[Any, Any, object]]


def _profile(number: int) -> str:
    return f"prof_{number % PROFILES}"


async def _create(store: SqlStore, number: int) -> None:
    await store.profiles.create("ten_a", Profile(_profile(number), None, NOW))


async def _connect(store: SqlStore, number: int) -> None:
    reservation = Reservation("ten_a", "ConnectProfile", f"key-{number % 3}", f"holder-{number}")
    saved = login(profile_key=_profile(number), generation=number, reservation=reservation)
    await store.connections.save_login(replace(saved, create_profile=number % 2 == 0))


async def _delete(store: SqlStore, number: int) -> None:
    await store.profiles.delete("ten_a", _profile(number), NOW)


async def _disconnect(store: SqlStore, number: int) -> None:
    await store.connections.disconnect("ten_a", _profile(number), "bluesky", NOW)


async def _debit(store: SqlStore, number: int) -> None:
    debit = Debit("did:plc:a", "https://a.example", "ten_a", LoginPurpose.CONNECT, NOW + number)
    await store.login_budget.debit(debit, lambda *_: None)


async def _reserve(store: SqlStore, number: int) -> None:
    reservation = replace(RESERVATION, holder=f"holder-{number}")
    if await store.idempotency.reserve(reservation, FINGERPRINT, NOW, RESERVED_UNTIL) is None:
        await store.idempotency.release(reservation)


def _tenant(number: int) -> str:
    """Return a tenant that both processes use and delete in the same round."""
    return f"ten_{number // CALLS % MAX_ROUNDS}"


async def _use_tenant(store: SqlStore, number: int) -> None:
    tenant = _tenant(number)
    key = ApiKey(f"key-{number}", tenant, "n", frozenset(), "apikey-1", b"\0" * 32, NOW)
    await store.api_keys.add(key)
    await store.profiles.create(tenant, Profile(f"prof_short_{number}", None, NOW))


async def _delete_tenant(store: SqlStore, number: int) -> None:
    while await store.tenants.delete_batch(_tenant(number), NOW) is not None:
        pass


WRITES: Sequence[Write] = (
    *[_create, _create, _connect, _connect, _connect, _delete, _delete, _disconnect],
    *[_debit, _debit, _reserve, _reserve, _use_tenant, _use_tenant, _delete_tenant],
)


async def race(url: str, seed: int, rounds: int) -> Counter[str]:
    """Count the outcomes of *rounds* rounds of concurrent calls."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    store = SqlStore(await PostgresEngine.open(url, POOL_SIZE))

    async def one(number: int) -> None:
        write = chance.choice(WRITES)
        try:
            await write(store, number)
        except Exception as error:
            name = type(error).__name__
            fault = "" if isinstance(error, ServiceError) else f"INTERNAL {write.__name__}: "
            outcomes[fault + name] += 1
        else:
            outcomes["done"] += 1

    print("ready", flush=True)  # noqa: T201 - read by the test
    await asyncio.to_thread(sys.stdin.readline)
    for number in range(rounds):
        await asyncio.gather(
            *(one((seed * MAX_ROUNDS + number) * CALLS + call) for call in range(CALLS))
        )
    await store.close()
    return outcomes


async def raced(url: str, rounds: int, processes: int = 2) -> Counter[str]:
    """Count the outcomes of *processes* processes that start at the same moment."""
    store = SqlStore(await PostgresEngine.open(url, 1))
    for name in ("a", *range(rounds)):
        await store.tenants.create(Tenant(f"ten_{name}", "A", NOW))
    await store.close()
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.racing", str(seed), str(rounds)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for seed in range(processes)
    ]
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            for process in started:
                assert process.stdin
                assert process.stdout
                process.stdin.write(f"{url}\n".encode())
                assert await process.stdout.readline() == b"ready\n"
            ended = await asyncio.gather(*(process.communicate(b"go\n") for process in started))
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return sum((Counter(json.loads(out)) for out, _ in ended), Counter())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(sys.stdin.readline().strip(), *map(int, sys.argv[1:])))))  # noqa: T201
