"""Row 1: the database and all files beside it are stolen, from SQLite and from PostgreSQL.

Accounts are connected, reconnected, refreshed, disconnected and deleted; keys are rotated, backups
are made, and the server is killed with a request for a core dump. Every file is then searched for
each password and token that was ever typed, issued or rejected.
"""

import asyncio
import resource
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.crypto.keyring import create_keyring, new_keys
from service.sandbox.tokens import Tokens
from service.settings import Settings
from service.storage.migrations import migrate_apart
from tests.attack.row import Figure, Ground, share
from tests.attack.secret_search import Traces, files_in, spellings
from tests.cli.home import Home, Started
from tests.support.bluesky import Person, SandboxBluesky, some_password
from tests.support.engines import rows
from tests.support.live_changes import age, done
from tests.support.postgres import Cluster
from tests.support.running import FAST, Running

ACCOUNTS = 360
KEPT_FOR_A_WHILE = ("audit", "login_debits", "login_pauses")
"""Tables that keep the DID of a deleted profile: the audit trail for the configured retention,
and the login budget for a day."""
TABLES = (
    *("facts", "tenants", "api_keys", "profiles", "connections", "credentials", "sessions"),
    *("idempotency_records", "events", "event_marks", "connect_links", "tenant_pages"),
    *("webhooks", "webhook_secrets", "webhook_deliveries"),
)
DIE = "import os; os.kill(os.getpid(), 6)"


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    figures = []
    async with SandboxBluesky.started() as sandbox:
        home = _home(ground.folder / "sqlite")
        url = f"sqlite:///{home.database}"
        life = Life(sandbox, home, {"DATABASE_URL": url})
        assert migrate_apart(url)
        await life.run(max(6, share(ACCOUNTS, part)))
        figures += await asyncio.to_thread(life.stolen, "SQLite", home.folder)
        figures += life.personal()
        figures.append(_core(home.folder))
        ground.say("SQLite searched")
        cluster = await asyncio.to_thread(Cluster.started, ground.postgres)
        try:
            url = cluster.url(await cluster.new_database())
            assert migrate_apart(url)
            home = _home(ground.folder / "postgres")
            life = Life(sandbox, home, {"DATABASE_URL": url})
            await life.run(max(6, share(ACCOUNTS, part / 3)))
            personal = life.personal()
            await asyncio.to_thread(cluster.stop)
            folders = home.folder, cluster._data
            figures += await asyncio.to_thread(life.stolen, "PostgreSQL", *folders)
            figures += personal
        finally:
            cluster.remove()
    return figures


def _home(folder: Path) -> Home:
    folder.mkdir()
    home = Home(folder)
    create_keyring(home.keyring, new_keys("test"))
    return home


class Life:
    """The events in the life of a store; *planted* holds every secret that occurred."""

    def __init__(self, sandbox: SandboxBluesky, home: Home, settings: Mapping[str, str]) -> None:
        self.planted: set[str] = set()
        self.gone: list[Person] = []
        self._sandbox = sandbox
        self._home = home
        budgets = ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET")
        self._settings = {
            "KEYRING_FILE": str(home.keyring),
            "LOG_LEVEL": "debug",
            **sandbox.settings(),
            **dict.fromkeys(budgets, "100000,100000"),
            **FAST,
            **settings,
        }
        self._read = Settings.read(home.environ(**self._settings))

    async def run(self, count: int) -> None:
        """Run all events with *count* accounts; abort the server at the end."""
        with _noted(self._sandbox, self.planted), _cores_allowed():
            async with self._served() as (service, server):
                await self._live(service, count)
                server.process.send_signal(signal.SIGABRT)
                await asyncio.to_thread(server.process.wait)
        async with self._served() as (_, server):
            assert await asyncio.to_thread(server.end, signal.SIGTERM) == 0

    async def _live(self, service: Running, count: int) -> None:
        people = [await self._person() for _ in range(count)]
        another = await service.new_tenant()
        keys = [service.api_key, (await service.new_key(tenant_id=another))[0]]
        made: list[tuple[str, Person]] = []
        for number, person in enumerate(people):
            reply = await service.connect(
                person.handle,
                person.app_password,
                api_key=keys[number % 6 == 5],
                idempotency_key=f"key {number}",
                timeout=30,
            )
            made.append((reply.profile_key, person))
        await self._back_up(service)
        for number, (key, person) in enumerate(made):
            await self._disturb(service, number % 6, key, person)
        await done(service, "tenants", "delete", another)
        self.gone += [person for number, (_, person) in enumerate(made) if number % 6 in (4, 5)]
        added = await done(service, "keyring", "add")
        await done(service, "keyring", "activate", added, "--at-once")
        age(service.settings.keyring_file)
        await done(service, "keyring", "rewrap")
        await self._back_up(service)

    async def _disturb(self, service: Running, turn: int, key: str, person: Person) -> None:
        # a wrong password, then the main one, whose session is ended at once
        refused = some_password() if turn else person.main_password
        self.planted.add(refused)
        with suppress(grpc.aio.AioRpcError):
            await service.connect(person.handle, refused, profile_key=key, timeout=30)
        if turn == 1:
            another = self._sandbox.world.add_app_password(person.did, "another")
            self.planted.add(another)
            await service.connect(person.handle, another, profile_key=key, timeout=30)
        elif turn == 2:
            token = (await service.lease(key, timeout=30)).access_token
            await service.execute("UPDATE sessions SET refreshed_at = 1 WHERE profile_key = ?", key)
            await service.lease(key, rejected=token, timeout=30)
        elif turn == 3:
            await service.profiles.DisconnectPlatform(
                pb.DisconnectPlatformRequest(profile_key=key, platform="bluesky"),
                metadata=service.metadata(),
            )
        elif turn == 4:
            await service.profiles.DeleteProfile(
                pb.DeleteProfileRequest(profile_key=key), metadata=service.metadata()
            )

    async def _person(self) -> Person:
        person = await self._sandbox.person(some_password())
        self.planted |= {person.main_password, person.app_password}
        return person

    async def _back_up(self, service: Running) -> None:
        if not service.settings.is_postgres:
            await done(service, "backup", str(self._home.folder / f"{secrets.token_hex(4)}.backup"))

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[tuple[Running, Started]]:
        """Run the service in its own process, which logs to a file of the folder."""
        with self._home.started("serve", **self._settings) as server:
            ready = await asyncio.to_thread(server.line)
            [address] = [word[5:] for word in ready.split() if word.startswith("grpc=")]
            async with grpc.aio.insecure_channel(address) as channel:
                service = Running(self._read, address, channel)
                service.tenant_id = await service.new_tenant()
                service.api_key, _ = await service.new_key()
                yield service, server

    def stolen(self, engine: str, *folders: Path) -> list[Figure]:
        """Search all files except those of the keyring."""
        traces, found, searched, size = Traces(self.planted), set(), 0, 0
        for file in files_in(*folders):
            if "keyring" in file.name or file.name.startswith("retired"):
                continue
            content = file.read_bytes()
            searched, size = searched + 1, size + len(content)
            found |= traces.found_in(content)
        decoys = [spelling for secret in self.planted for spelling in spellings(secret)]
        awake = traces.found_in(b"\0".join(decoys)) == self.planted
        wide = traces.found_in("\n".join(self.planted).encode("utf-16")) == self.planted
        return [
            Figure(
                f"{engine}: of {len(self.planted)} passwords and tokens, found in "
                f"{searched} files ({size / 2**20:.0f} MiB)",
                f"{len(found)}",
                not found and awake and wide,
            )
        ]

    def personal(self) -> list[Figure]:
        """Count what remains in rows about accounts of deleted profiles and tenants."""
        left = Counter({"handles": 0, "DIDs": 0, "DIDs kept": 0})
        url = self._read.database_url
        for table in (*TABLES, *KEPT_FOR_A_WHILE):
            text = repr(rows(url, f"SELECT * FROM {table}"))
            kept = " kept" if table in KEPT_FOR_A_WHILE else ""
            left["handles"] += sum(person.handle in text for person in self.gone)
            left[f"DIDs{kept}"] += sum(person.did in text for person in self.gone)
        return [
            Figure(
                f"rows that name one of {len(self.gone)} accounts whose profiles were deleted",
                f"{left['handles']} by handle, {left['DIDs']} by DID; login budgets and the audit "
                f"of leases: {left['DIDs kept']}",
                left["handles"] == left["DIDs"] == 0 < len(self.gone),
            )
        ]


@contextmanager
def _noted(sandbox: SandboxBluesky, planted: set[str]) -> Iterator[None]:
    """Record every token that is issued during the block."""
    sessions = sandbox.world.sessions
    make = sessions._tokens

    def note(did: str, scope: str, token_id: str) -> Tokens:
        tokens = make(did, scope, token_id)
        planted.update((tokens.access, tokens.refresh))
        return tokens

    sessions._tokens = note  # type: ignore[method-assign]
    try:
        yield
    finally:
        sessions._tokens = make  # type: ignore[method-assign]


@contextmanager
def _cores_allowed() -> Iterator[None]:
    """Allow core files for processes started during the block, as far as the system permits."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, limits)


def _cores(folder: Path) -> list[Path]:
    return [file for file in files_in(folder) if file.name.partition(".")[0] == "core"]


def _core(folder: Path) -> Figure:
    """Return whether the aborted server left a core file where any other program does."""
    (other := folder / "other").mkdir()
    before = len(_cores(folder))
    with _cores_allowed():
        subprocess.run([sys.executable, "-c", DIE], cwd=other, env={}, check=False)
    able = bool(_cores(other))
    seen = f"{before}" if able else f"{before}, but another program left none here either"
    return Figure("core files of a server that was aborted", seen, before == 0 if able else None)
