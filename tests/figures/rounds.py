"""Rounds: the effect of a monitor's round over many connections on other calls.

The service runs in its own process on SQLite, and this process sends one key's GetProfile calls at
a steady pace. Stretches with nothing due alternate with stretches with everything due; latencies
are merged by kind. The sandbox replaces Bluesky and shares this process, which slows the round. It
counts logins and refreshes.
"""

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from service.access.api_keys import ApiKeys
from service.app.startup import open_store, open_vault
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.crypto.vault import Vault
from service.domain.clock import SystemClock
from service.domain.ids import random_id
from service.domain.model import DAY, DEFAULT_SCOPES, SECOND, Session, Tenant
from service.domain.records import Purpose, SecretAddress
from service.settings import Settings
from tests.support.bluesky import CREATE, SESSION, Person, SandboxBluesky

REFRESH = f"{SESSION}refreshSession"
ACCOUNTS = 200
TENANTS = 20
STRETCHES = 6
STRETCH_SECONDS = 10.0
CALLS_PER_SECOND = 200
TARGET = 1.5


async def table(connections: int = 100_000) -> bool:
    """Print the figure; return whether it meets its target."""
    with tempfile.TemporaryDirectory() as folder:
        async with SandboxBluesky.started() as sandbox:
            return await _measure(Path(folder), sandbox, connections)


async def _measure(folder: Path, sandbox: SandboxBluesky, connections: int) -> bool:
    environ = {
        "POSTCORE_DATABASE_URL": f"sqlite:///{folder}/postcore.db",
        "POSTCORE_KEYRING_FILE": f"{folder}/keyring.json",
        "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
        "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
        "POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0",
        "POSTCORE_LOG_LEVEL": "warning",
        **{f"POSTCORE_{name}": value for name, value in sandbox.settings().items()},
    }
    settings = Settings.read(environ)
    key = await _fill(settings, sandbox, connections)
    before = await sandbox.counts()
    # no other environment variables: no setting gets in by accident
    passed_on = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "serve", env={**passed_on, **environ},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        ready = (await server.stdout.readline()).decode().split()
        address = next(word for word in ready if word.startswith("grpc=")).removeprefix("grpc=")
        async with grpc.aio.insecure_channel(address) as channel:
            calm, busy = await _stretches(settings, channel, key)
    finally:
        server.terminate()
        await server.wait()
    after = await sandbox.counts()
    checked = after.get(REFRESH, 0) - before.get(REFRESH, 0)
    a_second = checked / (STRETCHES / 2 * STRETCH_SECONDS)
    ratio = _p99(busy) / _p99(calm)
    click.echo(f"connections, all due in the busy stretches: {connections}")
    click.echo(f"checked meanwhile: {checked}, {a_second:.1f} a second")
    click.echo(f"logins: {after.get(CREATE, 0) - before.get(CREATE, 0)}")
    for name, taken in (("nothing due", calm), ("a round", busy)):
        middle, late = statistics.median(taken) * 1e3, _p99(taken) * 1e3
        click.echo(
            f"GetProfile, {name:12} {len(taken)} calls, median {middle:.2f} ms, p99 {late:.2f} ms"
        )
    click.echo(f"p99 ratio: {ratio:.2f} (target: at most {TARGET})")
    return ratio <= TARGET


async def _fill(settings: Settings, sandbox: SandboxBluesky, connections: int) -> str:
    """Create a database with *connections* connections of a few accounts; return an API key."""
    create_keyring(settings.keyring_file, new_keys("figures"))
    keyring, now = Keyring(settings.keyring_file), SystemClock().now()
    people = [await sandbox.person() for _ in range(ACCOUNTS)]
    sessions = []
    for person in people:
        _, tokens = sandbox.world.log_in(person.handle, person.app_password)
        sessions.append(Session(tokens.access, tokens.refresh, now + 7200 * SECOND))
    async with open_store(settings) as store:
        vault = await open_vault(store, keyring)
        tenants = [f"ten_{random_id()}" for _ in range(TENANTS)]
        for tenant in tenants:
            await store.tenants.create(Tenant(tenant, "figures", now))
        plain, key = ApiKeys(store.api_keys, keyring, SystemClock()).mint(
            tenants[0], "figures", DEFAULT_SCOPES
        )
        await store.api_keys.add(key)
    with closing(sqlite3.connect(settings.database_file)) as database, database:
        for number in range(connections):
            one = number % ACCOUNTS
            person, session = people[one], sessions[one]
            address = SecretAddress(
                tenants[number % TENANTS],
                f"prof_{number:08}",
                "bluesky",
                person.did,
                sandbox.origin,
                number,
            )
            _add(database, vault, address, person, session)
    return plain


def _add(
    database: sqlite3.Connection,
    vault: Vault,
    address: SecretAddress,
    person: Person,
    session: Session,
) -> None:
    """Add a profile with its connection, whose check is due tomorrow."""
    credential = vault.seal(person.app_password, Purpose.CREDENTIAL, address)
    sealed = vault.seal_session(session, address)
    key, now = (address.tenant_id, address.profile_key, address.platform), SystemClock().now()
    database.execute(
        "INSERT INTO profiles (tenant_id, profile_key, created_at) VALUES (?, ?, ?)",
        (address.tenant_id, address.profile_key, now),
    )
    database.execute(
        "INSERT INTO connections (tenant_id, profile_key, platform, account_id, username,"
        " display_name, origin, generation, state, connected_at, last_verified_at, document_at,"
        " next_check_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'HEALTHY', ?, ?, ?, ?)",
        (
            *(*key, person.did, person.handle, person.handle, address.origin, address.generation),
            *(now, now, now, now + DAY),
        ),
    )
    database.execute(
        "INSERT INTO credentials (tenant_id, profile_key, platform, generation, ring_key_id,"
        " envelope) VALUES (?, ?, ?, ?, ?, ?)",
        (*key, address.generation, credential.ring_key_id, credential.envelope),
    )
    database.execute(
        "INSERT INTO sessions (tenant_id, profile_key, platform, generation, ring_key_id, envelope,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*key, address.generation, sealed.ring_key_id, sealed.envelope, session.expires_at),
    )


async def _stretches(
    settings: Settings, channel: grpc.aio.Channel, key: str
) -> tuple[list[float], list[float]]:
    """Return the latencies of calls while nothing is due, and while everything is."""
    stub = profiles_grpc.ProfileServiceStub(channel)
    taken: tuple[list[float], list[float]] = ([], [])
    await _calls(stub, key, 3.0)  # warm-up
    for turn in range(STRETCHES):
        due = SystemClock().now() + (-DAY if turn % 2 else DAY)
        await asyncio.to_thread(_set_due, settings, due)
        await asyncio.sleep(6)  # until the monitor has polled
        taken[turn % 2].extend(await _calls(stub, key, STRETCH_SECONDS))
    return taken


def _set_due(settings: Settings, at: int) -> None:
    with closing(sqlite3.connect(settings.database_file, timeout=60)) as database, database:
        database.execute("UPDATE connections SET next_check_at = ?", (at,))


async def _calls(stub: Any, key: str, seconds: float) -> list[float]:
    """Return the latencies of calls at a steady pace, each measured from its due time."""
    metadata, loop = (("x-api-key", key),), asyncio.get_running_loop()

    async def call(number: int, due: float) -> float:
        await asyncio.sleep(max(0, due - loop.time()))
        started = perf_counter()
        await stub.GetProfile(
            pb.GetProfileRequest(profile_key=f"prof_{number * TENANTS % 100_000:08}"),
            metadata=metadata, timeout=30,
        )  # fmt: skip
        return perf_counter() - started

    start = loop.time()
    count = int(seconds * CALLS_PER_SECOND)
    return list(
        await asyncio.gather(*(call(n, start + n / CALLS_PER_SECOND) for n in range(count)))
    )


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]
