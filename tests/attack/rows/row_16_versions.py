"""Row 16: this program meets an old and a newer database, and live mode meets sandbox mode."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.crypto.keyring import KeyPurpose, Keyring
from service.storage.migrations import KNOWN
from tests.attack.old_databases import SQLITE, TABLES, Databases, columns, dump, past_of, table_rows
from tests.attack.row import Figure, Ground, share
from tests.attack.service_process import beside, sentence, serving
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import rows
from tests.support.live_changes import age, done, opened_by
from tests.support.postgres import Cluster
from tests.support.watcher import Watcher

CONNECTIONS = 200
REWRITTEN = {"0001": {("connections", "next_check_at")}}
"""Columns of that schema which a migration is meant to refill."""
EVENTS_SECONDS = 30.0
ENGINES = (SQLITE, "postgres")
SERVE, SANDBOX, MIGRATE = (
    ("service", "serve"),
    ("service", "serve", "--sandbox"),
    ("service", "migrate"),
)


async def attack(ground: Ground, part: float) -> Sequence[Figure]:
    cluster = await asyncio.to_thread(Cluster.started, ground.postgres)
    try:
        async with SandboxBluesky.started() as sandbox:
            past = await past_of(ground.folder, sandbox, share(CONNECTIONS, part))
            made = Databases(ground, past, cluster)
            figures = []
            for revision in sorted(KNOWN) if part == 1 else [min(KNOWN)]:
                figures += [await _migrated(made, engine, revision) for engine in ENGINES]
                ground.say(f"schema {revision}")
            return [*figures, await _newer(made), await _modes(made), *await _keyrings(made)]
    finally:
        await asyncio.to_thread(cluster.remove)


async def _migrated(made: Databases, engine: str, revision: str) -> Figure:
    """Migrate an old schema, and check the callers' view of it."""
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
        answers += (
            await _watched_profiles(Watcher(service, from_oldest=True), len(past.events))
            == past.events
        )
    return Figure(
        f"schema {revision} on {engine}, migrated",
        f"{same} of {count} rows as they were, {len(past.secrets)} secrets "
        f"{'opened' if opened else '**not opened**'}, "
        f"schema {'as a new one' if alike else '**not** as a new one'}; "
        f"{answers} of 4 calls answered as before{refused and ': ' + refused}",
        same == count > 0 and opened and alike and answers == 4 and not refused,
    )


async def _watched_profiles(watcher: Watcher, count: int) -> list[str]:
    """Return the profiles of the first *count* events."""
    seen: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(EVENTS_SECONDS):
            while len(seen) < count:
                seen += [event.profile_key for event in (await watcher.message()).events]
    watcher.call.cancel()
    return seen[:count]


async def _newer(made: Databases) -> Figure:
    """Use a schema that this program does not know: no command changes it."""
    tries = held = 0
    for engine in ENGINES:
        read = await made.copy(engine, max(KNOWN))
        rows(read.database_url, "UPDATE alembic_version SET version_num = '9999'")
        before = dump(read.database_url)
        for module in (SERVE, MIGRATE):
            tries += 1
            error = await sentence(read, made.log, module)
            held += "was made by a newer program (schema 9999" in error
        held -= dump(read.database_url) != before
    return Figure(
        "a newer schema: start refused with a sentence, nothing changed",
        f"{held} of {tries} on {len(ENGINES)} engines",
        held == tries,
    )


async def _modes(made: Databases) -> Figure:
    """Start live mode on a sandbox database, and the reverse."""
    tries = held = 0
    for engine, mode, module, expected in (
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
        held += expected in said and dump(read.database_url) == before
    return Figure(
        "live start on a sandbox database and the reverse: refused, nothing changed",
        f"{held} of {tries}",
        held == tries,
    )


async def _keyrings(made: Databases) -> list[Figure]:
    """Use a keyring written before keys had a time, and a copy from before a rotation."""
    past = made.past
    keyring = past.read.keyring_file
    written = json.loads(keyring.read_text())
    timeless = {**written, "keys": [dict(key) for key in written["keys"]]}
    for key in timeless["keys"]:
        del key["since"]
    read = await made.copy(SQLITE, max(KNOWN))
    old = _keyring(keyring.with_name("old.json"), timeless)
    with_old = read.model_copy(update={"keyring_file": old})
    opened = opened_by(with_old) == past.secrets
    async with serving(with_old, made.log) as served, served.called(past.owner) as service:
        lent = await service.lease(past.reply.profile_key, timeout=30)
    works = opened and lent.account_id == past.people[past.reply.profile_key].did
    # the keyring rotates; its copy does not
    newer = _keyring(keyring.with_name("newer.json"), written)
    with_newer = read.model_copy(update={"keyring_file": newer})
    async with beside(with_newer) as store:
        former = Keyring(newer).active(KeyPurpose.SEAL).key_id
        added = await done(store, "keyring", "add")
        await done(store, "keyring", "activate", added, "--at-once")
        age(newer)
        await done(store, "keyring", "rewrap")
    assert former != added
    error = await sentence(with_old, made.log)
    refused = error.startswith("the keyring is not the one that this database was sealed with")
    return [
        Figure(
            "a keyring of the first form (its keys have no time and no wrap)",
            f"{len(past.secrets)} secrets {'opened, sessions lent' if works else '**not opened**'}",
            works,
        ),
        Figure(
            "a copy of the keyring from before a rotation: start refused with a sentence",
            "so it was" if refused else f"**{error or 'started'}**",
            refused,
        ),
    ]


def _keyring(path: Path, written: object) -> Path:
    path.touch(0o600)
    path.write_text(json.dumps(written))
    return path
