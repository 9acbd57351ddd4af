"""Versions: today's code reads what every former version has stored, and the other way round.

Each folder of golden/ holds a database and its keyring, named for the schema. The code of that
time wrote them, by statements like those of sample.py.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from service.crypto import canary
from service.crypto.keyring import KeyPurpose, Keyring
from service.crypto.tokens import Tokens
from service.crypto.vault import Vault
from service.domain.model import (
    DAY,
    Connection,
    ConnectionEvent,
    ConnectionState,
    EventKind,
    ReconnectReason,
    Session,
)
from service.domain.records import (
    Purpose,
    Reservation,
    SecretAddress,
    SessionEnvelope,
    Upkeep,
)
from service.domain.webhooks import Delivery, FailedPlace
from service.storage.migrations import KNOWN
from service.storage.opening import open_engine
from service.storage.store import SqlStore
from tests.support.auditing import lease_row, unnumbered
from tests.support.leasing import ROOT

from .sample import HOUR, LINK, NOW, ORIGIN, SCOPES, TENANT, WEBHOOK, login, write

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())
BEFORE = "81e3a964"
"""The last commit before the store was split; the database of 0004 is its own."""
WELL = Connection(
    "bluesky",
    "did:plc:prof_well",
    "well.example",
    "well.example",
    ConnectionState.HEALTHY,
    None,
    NOW + 1,
    NOW + 1,
    NOW + 6 * HOUR,
)
BROKEN = WELL._replace(
    account_id="did:plc:prof_broken",
    username="renamed.example",
    display_name="renamed.example",
    state=ConnectionState.BROKEN,
    reconnect_reason=ReconnectReason.APP_PASSWORD_REVOKED,
    connected_at=NOW + 2,
    last_verified_at=NOW + 11,
    next_check_at=NOW + HOUR,
)
DOUBTED = WELL._replace(
    state=ConnectionState.UNVERIFIED, last_verified_at=NOW + 11, next_check_at=NOW + HOUR
)
AGAIN = WELL._replace(last_verified_at=NOW + 5)
KINDS = [
    *(EventKind.CONNECTED, EventKind.CONNECTED, EventKind.CONNECTED, EventKind.CONNECTED),
    *(EventKind.RECONNECTED, EventKind.BROKEN, EventKind.HANDLE_CHANGED, EventKind.UNVERIFIED),
    *(EventKind.DISCONNECTED, EventKind.DISCONNECTED),
]


def restored(version: str, folder: Path) -> tuple[Path, Path]:
    """The database and the keyring of *version*, in files."""
    database, keyring = folder / "database.db", folder / "keyring.json"
    with closing(sqlite3.connect(database)) as file:
        file.executescript((GOLDEN / version / "database.sql").read_text())
    database.chmod(0o600)
    shutil.copy(GOLDEN / version / "keyring.json", keyring)
    keyring.chmod(0o600)
    return database, keyring


def test_every_schema_has_a_golden_database() -> None:
    assert set(VERSIONS) == KNOWN


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.slow
async def test_a_database_of_every_version_is_read(version: str, tmp_path: Path) -> None:
    """Events, replies, profiles, keys, secrets: all of it means what it meant."""
    database, file = restored(version, tmp_path)
    keyring = Keyring(file)
    vault, tokens = Vault(keyring), Tokens(keyring)
    store = SqlStore(await open_engine(f"sqlite:///{database}", 1))
    try:
        await canary.prove(store.facts, vault, keyring)
        assert await store.facts.get("mode") == "live"
        await the_events_are_read(store, version)
        for method, key, reply in (
            ("CreateProfile", "create", ("prof_empty", "Empty ☺")),
            ("ConnectProfile", "connect", ("prof_well", "bluesky", "well.example")),
        ):
            reservation = Reservation(TENANT, method, key, "another")
            earlier = await store.idempotency.earlier_request(reservation, NOW)
            assert earlier is not None
            assert tokens.matches(earlier.fingerprint, [key])
            assert earlier.reply == reply
        empty = await store.profiles.get(TENANT, "prof_empty")
        assert (empty.profile_name, empty.connections) == ("Empty ☺", ())
        [api_key] = await store.api_keys.of_tenant(TENANT)
        assert api_key.scopes == SCOPES
        for number, name in ((5, "prof_well"), (2, "prof_broken")):
            stored = await store.connections.connection(TENANT, name, "bluesky")
            address = SecretAddress(TENANT, name, "bluesky", f"did:plc:{name}", ORIGIN, number)
            assert stored.address == address
            secret = vault.open(stored.credential, Purpose.CREDENTIAL, address)
            assert secret == f"app password of {name}"
            session = vault.open_session(SessionEnvelope(address, stored.session))
            assert session == Session(f"access of {name}", f"refresh of {name}", NOW + HOUR)
            if version > "0001":
                assert stored.upkeep == Upkeep(NOW + 11, NOW, None, 1, 2, NOW + HOUR)
        spent = login(vault, "prof_well", 9).address
        assert await store.connections.connected_account(TENANT, "prof_well", "bluesky") == (
            spent.account_id
        )
        if version >= "0007":
            await the_webhook_is_read(store, vault)
        digest = tokens.link(LINK.link_id, keyring.active(KeyPurpose.TOKEN).key_id)[1].digest
        found = await store.links.get(digest)
        assert (found is None) == (version < "0008")
        assert found is None or (found[0], found[1].name) == (LINK, "Golden")
        lent = unnumbered(await store.audit.page(TENANT, 0, 0, 2**62, 10))
        assert lent == [
            lease_row(
                *(NOW + 12, TENANT, "golden", "prof_well", "bluesky", "did:plc:prof_well"),
                NOW + HOUR,
            )
        ] * (version > "0001")
    finally:
        await store.close()


async def the_webhook_is_read(store: SqlStore, vault: Vault) -> None:
    [found] = await store.webhooks.of_tenant(TENANT)
    failing = {"failures": 2, "failing_since": NOW + 55, "resume_at": NOW + 55}
    assert found == WEBHOOK._replace(position=10, **failing)  # type: ignore[arg-type]
    secrets = await store.webhooks.secrets(found, NOW + 60)
    assert {each.generation: each.expires_at for each in secrets} == {2: None, 1: NOW + DAY}
    for each in secrets:
        address = found.address(each.generation)
        assert vault.open(each.sealed, Purpose.WEBHOOK, address) == (
            f"webhook secret {each.generation}"
        )
    [waits] = await store.webhook_queue.waiting(found.webhook_id)
    [given_up] = await store.webhooks.failed(TENANT, found.webhook_id, FailedPlace(0, ""), 10)
    assert waits == Delivery(
        found.message_id(1),
        1,
        "prof_well",
        "connection.connected",
        NOW + HOUR,
        attempts=1,
        first_at=NOW + 55,
        cause="HTTP_STATUS",
        http_status=500,
    )
    assert given_up == replace(waits, message_id=found.message_id(2), number=2, failed_at=NOW + 55)


async def the_events_are_read(store: SqlStore, version: str) -> None:
    events = await store.events.page(TENANT, 0, 100)
    # before there were checks, there were no verdicts
    verdicts = {EventKind.BROKEN, EventKind.HANDLE_CHANGED, EventKind.UNVERIFIED}
    kinds = [kind for kind in KINDS if version > "0001" or kind not in verdicts]
    assert [event.number for event in events] == list(range(1, len(kinds) + 1))
    assert [event.kind for event in events] == kinds
    checked = NOW + 6 * HOUR if version > "0001" else None
    well = WELL._replace(next_check_at=checked)
    again = AGAIN._replace(next_check_at=checked)
    assert events[0] == ConnectionEvent(1, EventKind.CONNECTED, "prof_well", well, NOW + 1)
    assert events[3] == ConnectionEvent(4, EventKind.CONNECTED, "prof_gone", None, None)
    assert events[4] == ConnectionEvent(5, EventKind.RECONNECTED, "prof_well", again, NOW + 5)
    if version > "0001":
        assert events[5] == ConnectionEvent(6, EventKind.BROKEN, "prof_broken", BROKEN, NOW + 11)
        assert events[7] == ConnectionEvent(8, EventKind.UNVERIFIED, "prof_well", DOUBTED, NOW + 11)


READ = """
import asyncio, json, os, sys
from pathlib import Path
from service.model import Place
from service.records import Purpose, Reservation, SealContext, StoredSession
from service.ring import Ring
from service.storage.opening import open_engine
from service.storage.store import SqlStore
from service.tokens import Tokens
from service.vault import Vault
from service import canary

async def main(folder):
    ring = Ring(folder / "keyring.json")
    vault = Vault(ring)
    store = SqlStore(await open_engine(f"sqlite:///{folder / 'database.db'}", 1))
    await canary.prove(store, vault, ring)
    events = await store.events("ten_golden", 0, 100)
    earlier = await store.earlier_request(
        Reservation("ten_golden", "ConnectProfile", "connect", "another"), 1_760_000_000_000_000)
    assert Tokens(ring).matches(earlier.fingerprint, ["connect"])
    profiles = await store.profiles("ten_golden", Place(0, ""), 10, to_reconnect=False)
    stored = await store.connection("ten_golden", "prof_well", "bluesky")
    session = vault.open_session(StoredSession(stored.context, stored.session))
    held = await store.claim(stored.context, 1_760_000_100_000_000, 1_760_000_101_000_000)
    await store.give_up_claim(held)
    print(json.dumps({
        "events": [[e.number, e.kind, e.profile_key, e.connection] for e in events],
        "reply": earlier.reply,
        "profiles": [p.profile_key for p in profiles],
        "session": [session.access_token, session.refresh_token, session.expires_at],
        "secret": vault.open(stored.credential, Purpose.CREDENTIAL, stored.context),
        "upkeep": stored.upkeep,
    }))
    await store.close()

try:
    asyncio.run(main(Path(sys.argv[1])))
    sys.stdout.flush()
    code = 0
except BaseException as error:
    print(repr(error), file=sys.stderr, flush=True)
    code = 1
os._exit(code)  # threads of the driver would outlive a failure
"""


def test_the_version_before_reads_what_today_writes(tmp_path: Path) -> None:
    """Nodes of both versions share one database while one takes the place of the other."""
    packed = subprocess.run(
        ["git", "archive", BEFORE, "service"], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip("this repository's history does not reach back to the version before")
    program, folder = tmp_path / "program", tmp_path / "data"
    program.mkdir()
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", program], input=packed.stdout, check=True)
    asyncio.run(write(folder))
    # as a node of that version sees the database, if it was running before the migration
    with closing(sqlite3.connect(folder / "database.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0004'")
    read = subprocess.run(
        [sys.executable, "-c", READ, str(folder)],
        cwd=program,
        env={**os.environ, "PYTHONPATH": str(program)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout)
    assert [event[1] for event in found["events"]] == [kind.value for kind in KINDS]
    assert found["events"][0] == [1, "CONNECTED", "prof_well", list(WELL)]
    assert found["events"][5] == [6, "BROKEN", "prof_broken", list(BROKEN)]
    assert found["reply"] == ["prof_well", "bluesky", "well.example"]
    assert found["profiles"] == ["prof_empty", "prof_well", "prof_broken", "prof_ended"]
    assert found["session"] == ["access of prof_well", "refresh of prof_well", NOW + HOUR]
    assert found["secret"] == "app password of prof_well"
    assert found["upkeep"] == [NOW + 11, NOW, None, 1, 2, NOW + HOUR]
