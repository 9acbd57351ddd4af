"""A database that a service has filled, and copies of it on either engine in any schema."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.crypto.keyring import create_keyring
from service.domain.clock import SystemClock
from service.domain.model import Scope
from service.settings import Settings
from service.storage import migrations
from service.storage.migrations import migrate_apart
from service.storage.migrations.postgres import upgrade
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.engines import rows
from tests.support.live_changes import old_keys, opened_by
from tests.support.postgres import Cluster
from tests.support.running import running

from .row import Ground
from .service_process import Owner

TABLES = (
    *("facts", "tenants", "api_keys", "profiles", "connections", "credentials", "sessions"),
    *("idempotency_records", "events", "login_debits", "login_pauses", "audit", "event_marks"),
)
"""Ordered so that a table comes after the tables that it refers to."""
BUDGETS = dict.fromkeys(
    ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "1000,1000"
)
SQLITE = "sqlite"
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Past:
    """A database in today's schema, filled by a service, and its expected contents."""

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
    """Copies of the past on either engine, in any schema."""

    def __init__(self, ground: Ground, past: Past, cluster: Cluster) -> None:
        self.ground = ground
        self.past = past
        self._cluster = cluster
        self._config = Config()
        self._config.set_main_option("script_location", migrations.__path__[0])

    async def copy(self, engine: str, revision: str) -> Settings:
        """Return the settings of a copy in schema *revision*, with all data that fits that
        schema."""
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
            if table == "audit" and names:
                names.remove("number")  # the database gives it
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


async def past_of(folder: Path, sandbox: SandboxBluesky, count: int) -> Past:
    """Fill a database with *count* connections and a broken one.

    It also gets a deleted profile, a disconnected one, and a revoked API key.
    """
    file = folder / "past.db"
    assert await asyncio.to_thread(migrate_apart, f"sqlite:///{file}")
    create_keyring(folder / "keyring.json", old_keys("2026-01-02T03:04:05+00:00"))
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


def columns(url: str) -> dict[str, dict[str, str]]:
    """Return the type of each column, by table."""
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
    """Return the values of these columns."""
    found = rows(url, f"SELECT {', '.join(names)} FROM {table}")
    return [tuple(row[name] for name in names) for row in found]


def dump(url: str) -> dict[str, list[Row]]:
    """Return all rows of the database, by table."""
    return {
        table: sorted(table_rows(url, table, sorted(names)), key=repr)
        for table, names in columns(url).items()
    }
