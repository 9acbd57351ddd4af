"""Row 16: an old database meets this program, and a newer one; live and sandbox meet each other."""

import asyncio
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.config import Settings
from service.model import Scope
from service.ports import SystemClock
from service.ring import KeyPurpose, Ring
from service.storage import migrations
from service.storage.migrations import KNOWN, migrate_apart
from service.storage.migrations.postgres import upgrade
from tests.beside import age, done, opened_by
from tests.bluesky import Person, SandboxBluesky
from tests.engines import rows
from tests.postgres import Cluster
from tests.running import running
from tests.watcher import Watcher

from .row import Figure, Ground, share
from .served import Owner, beside, sentence, serving

CONNECTIONS = 200
TABLES = (
    *("facts", "tenants", "api_keys", "profiles", "connections", "credentials", "sessions"),
    *("idempotency_records", "events", "login_debits", "login_pauses", "leases", "event_marks"),
)
"""What refers to others comes after them."""
REWRITTEN = {"0001": {("connections", "next_check_at")}}
"""Columns of that schema which a migration is meant to fill anew."""
BUDGETS = dict.fromkeys(
    ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "1000,1000"
)
EVENTS_SECONDS = 30.0
SQLITE = "sqlite"
ENGINES = (SQLITE, "postgres")
SERVE, SANDBOX, MIGRATE = (
    ("service", "serve"),
    ("service", "serve", "--sandbox"),
    ("service", "migrate"),
)
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Past:
    """A database in today's schema, as a service has filled it, and what its callers know."""

    read: Settings
    owner: Owner
    people: dict[str, Person]
    broken: str
    request: pb.ConnectProfileRequest
    reply: pb.ConnectProfileResponse

    @property
    def secrets(self) -> dict[tuple[str, str], str]:
        return opened_by(self.read)

    @property
    def events(self) -> list[str]:
        """The profile of each event, in order."""
        found = rows(self.read.database_url, "SELECT profile_key FROM events ORDER BY number")
        return [row["profile_key"] for row in found]


class Databases:
    """Copies of the past, on either engine and in any schema."""

    def __init__(self, ground: Ground, past: Past, cluster: Cluster) -> None:
        self.ground = ground
        self.past = past
        self._cluster = cluster
        self._config = Config()
        self._config.set_main_option("script_location", migrations.__path__[0])

    async def copy(self, engine: str, revision: str) -> Settings:
        """The past in that schema, with all that it has room for."""
        if engine == SQLITE:
            file = self.ground.folder / f"{secrets.token_hex(4)}.db"
            url = f"sqlite:///{file}"
            self._config.attributes["url"] = url
            await asyncio.to_thread(command.upgrade, self._config, revision)
        else:
            url = self._cluster.url(await self._cluster.new_database())
            await upgrade(self._config, url, revision)
        past, there = self.past.read.database_url, columns(url)
        known = columns(past)
        for table in TABLES:
            names = [name for name in known[table] if name in there.get(table, ())]
            if names and (found := table_rows(past, table, names)):
                places = ", ".join([f"({', '.join('?' * len(names))})"] * len(found))
                rows(
                    url,
                    f"INSERT INTO {table} ({', '.join(names)}) VALUES {places}",
                    *(value for row in found for value in row),
                )
        return self.past.read.model_copy(update={"database_url": url})

    @property
    def log(self) -> Path:
        return self.ground.folder / "log"


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    cluster = await asyncio.to_thread(Cluster.started, ground.postgres)
    try:
        async with SandboxBluesky.started() as sandbox:
            past = await _past(ground.folder, sandbox, share(CONNECTIONS, part))
            made = Databases(ground, past, cluster)
            figures = []
            for revision in sorted(KNOWN) if part == 1 else [min(KNOWN)]:
                figures += [await _brought_up(made, engine, revision) for engine in ENGINES]
                ground.say(f"schema {revision}")
            return [*figures, await _newer(made), await _modes(made), *await _rings(made)]
    finally:
        await asyncio.to_thread(cluster.remove)


async def _past(folder: Path, sandbox: SandboxBluesky, count: int) -> Past:
    """So many connections, and a broken one; of others a deleted profile and a disconnected one,
    and a key that was revoked."""
    file = folder / "past.db"
    assert await asyncio.to_thread(migrate_apart, f"sqlite:///{file}")
    async with running(file, {**sandbox.settings(), **BUDGETS}) as service:
        metadata = service.metadata()

        async def connected() -> tuple[str, Person, pb.ConnectProfileRequest, Any]:
            person = await sandbox.person()
            request = pb.ConnectProfileRequest(
                platform="bluesky",
                credentials=pb.Credentials(handle=person.handle, app_password=person.app_password),
                idempotency_key=secrets.token_hex(8),
            )
            reply = await service.profiles.ConnectProfile(request, metadata=metadata, timeout=30)
            return reply.profile_key, person, request, reply

        people = {}
        for _ in range(count):
            key, people[key], request, reply = await connected()
        await service.lease(key)
        broken, person, *_ = await connected()
        await sandbox.revoke(person)
        assert (await service.verify(broken)).needs_reconnect
        deleted, *_ = await connected()
        await service.profiles.DeleteProfile(
            pb.DeleteProfileRequest(profile_key=deleted), metadata=metadata
        )
        left, *_ = await connected()
        await service.profiles.DisconnectPlatform(
            pb.DisconnectPlatformRequest(profile_key=left, platform="bluesky"), metadata=metadata
        )
        _, key_id = await service.new_key(Scope.PROFILES_READ)
        await service.revoke_key(key_id)
        await service.execute(
            "INSERT INTO event_marks SELECT tenant_id, last_event, ? FROM tenants"
            " WHERE last_event > 0",
            SystemClock().now(),
        )
        owner = Owner(service.tenant_id, service.api_key, service.leasing_key)
        return Past(service.settings, owner, people, broken, request, reply)


async def _brought_up(made: Databases, engine: str, revision: str) -> Figure:
    """What `migrate` makes of an old schema, and what callers then find."""
    past = made.past
    read = await made.copy(engine, revision)
    before = columns(read.database_url)
    kept = {
        table: [name for name in before[table] if (table, name) not in REWRITTEN.get(revision, ())]
        for table in TABLES
        if table in before
    }
    was = {table: set(table_rows(read.database_url, table, names)) for table, names in kept.items()}
    refused = await sentence(read, made.log, MIGRATE)
    same = sum(
        len(found & set(table_rows(read.database_url, table, kept[table])))
        for table, found in was.items()
    )
    count = sum(map(len, was.values()))
    opened = opened_by(read) == past.secrets
    fresh = await made.copy(engine, max(KNOWN))
    alike = columns(read.database_url) == columns(fresh.database_url)
    answers = 0
    async with (
        serving(read, made.log) as served,
        served.called(past.owner) as service,
    ):
        again = await service.profiles.ConnectProfile(
            past.request, metadata=service.metadata(), timeout=30
        )
        answers += again == past.reply
        listed = await service.profiles.ListProfiles(
            pb.ListProfilesRequest(page_size=1000), metadata=service.metadata(), timeout=30
        )
        names = {
            profile.profile_key: profile.connected_platforms[0].username
            for profile in listed.profiles
            if profile.connected_platforms and profile.profile_key != past.broken
        }
        answers += names == {key: person.handle for key, person in past.people.items()}
        lent = await service.lease(past.reply.profile_key, timeout=30)
        answers += lent.account_id == past.people[past.reply.profile_key].did
        answers += await _told(Watcher(service, from_oldest=True), len(past.events)) == past.events
    return Figure(
        f"schema {revision} on {engine}, brought up to date",
        f"{same} of {count} rows as they were, {len(past.secrets)} secrets "
        f"{'opened' if opened else '**not opened**'}, "
        f"schema {'as a new one' if alike else '**not** as a new one'}; "
        f"{answers} of 4 calls answered as before{refused and ': ' + refused}",
        same == count > 0 and opened and alike and answers == 4 and not refused,
    )


async def _told(watcher: Watcher, count: int) -> list[str]:
    """The profiles of the first events, so many."""
    told: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(EVENTS_SECONDS):
            while len(told) < count:
                told += [event.profile_key for event in (await watcher.message()).events]
    watcher.call.cancel()
    return told[:count]


async def _newer(made: Databases) -> Figure:
    """A schema that this program does not know: no command touches it."""
    tries = held = 0
    for engine in ENGINES:
        read = await made.copy(engine, max(KNOWN))
        rows(read.database_url, "UPDATE alembic_version SET version_num = '9999'")
        before = dump(read.database_url)
        for module in (SERVE, MIGRATE):
            tries += 1
            told = await sentence(read, made.log, module)
            held += "was made by a newer program (schema 9999" in told
        held -= dump(read.database_url) != before
    return Figure(
        "a newer schema: no start, a sentence why, nothing changed",
        f"{held} of {tries} on {len(ENGINES)} engines",
        held == tries,
    )


async def _modes(made: Databases) -> Figure:
    """Live meets sandbox."""
    tries = held = 0
    for engine, mode, module, told in (
        (SQLITE, "live", SANDBOX, "this database is a live one"),
        (SQLITE, "sandbox", SERVE, "this database is a sandbox one"),
        ("postgres", "live", SANDBOX, "the sandbox is for a file of its own"),
        ("postgres", "sandbox", SERVE, "this database is a sandbox one"),
    ):
        read = await made.copy(engine, max(KNOWN))
        read = read.model_copy(update={"sandbox_address": "127.0.0.1:0"})
        rows(read.database_url, "UPDATE facts SET value = ? WHERE name = 'mode'", mode)
        before = dump(read.database_url)
        tries += 1
        said = await sentence(read, made.log, module)
        held += told in said and dump(read.database_url) == before
    return Figure(
        "live meets sandbox and the other way round: no start, a sentence why, nothing changed",
        f"{held} of {tries}",
        held == tries,
    )


async def _rings(made: Databases) -> list[Figure]:
    """A ring as it was written before keys had a time, and a copy from before a rotation."""
    past = made.past
    ring = past.read.keyring_file
    written = json.loads(ring.read_text())
    timeless = {**written, "keys": [dict(key) for key in written["keys"]]}
    for key in timeless["keys"]:
        del key["since"]
    read = await made.copy(SQLITE, max(KNOWN))
    old = _ring(ring.with_name("old.json"), timeless)
    with_old = read.model_copy(update={"keyring_file": old})
    opened = opened_by(with_old) == past.secrets
    async with serving(with_old, made.log) as served, served.called(past.owner) as service:
        lent = await service.lease(past.reply.profile_key, timeout=30)
    works = opened and lent.account_id == past.people[past.reply.profile_key].did
    # the ring goes on; the copy of it does not
    newer = _ring(ring.with_name("newer.json"), written)
    with_newer = read.model_copy(update={"keyring_file": newer})
    async with beside(with_newer) as store:
        former = Ring(newer).active(KeyPurpose.SEAL).key_id
        added = await done(store, "keyring", "add")
        await done(store, "keyring", "activate", added, "--at-once")
        age(newer)
        await done(store, "keyring", "rewrap")
    assert former != added
    told = await sentence(with_old, made.log)
    refused = told.startswith("the ring is not the one that this database was sealed with")
    return [
        Figure(
            "a ring of the first form (its keys have no time)",
            f"{len(past.secrets)} secrets {'opened, sessions lent' if works else '**not opened**'}",
            works,
        ),
        Figure(
            "a copy of the ring from before a rotation: no start, a sentence why",
            "so it was" if refused else f"**{told or 'started'}**",
            refused,
        ),
    ]


def _ring(path: Path, written: object) -> Path:
    path.touch(0o600)
    path.write_text(json.dumps(written))
    return path


def columns(url: str) -> dict[str, dict[str, str]]:
    """The columns of each table, and what they are."""
    if url.startswith("sqlite:"):
        found = rows(
            url,
            'SELECT m.name AS t, c.name AS c, c.type || c."notnull" AS k FROM sqlite_schema m'
            " JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
        )
    else:
        found = rows(
            url,
            "SELECT table_name AS t, column_name AS c, data_type || is_nullable AS k"
            " FROM information_schema.columns WHERE table_schema = 'public'",
        )
    tables: dict[str, dict[str, str]] = {}
    for row in found:
        tables.setdefault(row["t"], {})[row["c"]] = row["k"]
    return tables


def table_rows(url: str, table: str, names: Sequence[str]) -> list[Row]:
    """What stands in these columns."""
    found = rows(url, f"SELECT {', '.join(names)} FROM {table}")
    return [tuple(row[name] for name in names) for row in found]


def dump(url: str) -> dict[str, list[Row]]:
    """All that is in the database."""
    return {
        table: sorted(table_rows(url, table, sorted(names)), key=repr)
        for table, names in columns(url).items()
    }
