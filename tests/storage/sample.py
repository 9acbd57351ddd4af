"""A database and its keyring with a bit of everything that is stored, written by today's code.

`python -m tests.storage.sample FOLDER` adds a golden version: its folder is named for the schema.
Those of former versions were written in the same way, each by its own code.
"""

import asyncio
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from service.crypto import canary
from service.crypto.keyring import KeyPurpose, Keyring, create_keyring, new_keys
from service.crypto.tokens import Tokens
from service.crypto.vault import Vault
from service.domain.links import ConnectLink, NewLink, TenantPage
from service.domain.model import (
    DAY,
    SECOND,
    ApiKey,
    ConnectionState,
    EventKind,
    Profile,
    ReconnectReason,
    Scope,
    Session,
    Tenant,
)
from service.domain.records import (
    Debit,
    LoginPurpose,
    LoginWrite,
    Purpose,
    Reservation,
    SecretAddress,
    Upkeep,
    VerdictWrite,
)
from service.domain.webhooks import Delivery, Progress, Webhook, WebhookSecret
from service.storage.opening import open_engine
from service.storage.store import SqlStore
from tests.support.auditing import lease_row

NOW = 1_760_000_000_000_000
HOUR = 3600 * SECOND
TENANT, ORIGIN = "ten_golden", "https://pds.example"
LINK = ConnectLink(
    *("link_golden", TENANT, "golden", "prof_empty", "bluesky", "Golden app"),
    *("https://app.example.com/done", "state", "de", NOW, NOW + HOUR),
)
SCOPES = frozenset({Scope.PROFILES_READ, Scope.PROFILES_WRITE, Scope.SESSIONS_LEASE})


WEBHOOK = Webhook(
    *("wh_golden0123456789", TENANT, "https://hooks.example/in", ("connection.broken",), NOW + 35)
)


def webhook_secret(vault: Vault, generation: int) -> WebhookSecret:
    text = f"webhook secret {generation}"
    sealed = vault.seal(text, Purpose.WEBHOOK, WEBHOOK.address(generation))
    return WebhookSecret(generation, sealed, None)


def login(vault: Vault, profile: str, number: int) -> LoginWrite:
    address = SecretAddress(TENANT, profile, "bluesky", f"did:plc:{profile}", ORIGIN, number)
    session = Session(f"access of {profile}", f"refresh of {profile}", NOW + HOUR)
    return LoginWrite(
        address,
        f"{profile.removeprefix('prof_')}.example",
        vault.seal(f"app password of {profile}", Purpose.CREDENTIAL, address),
        vault.seal_session(session, address),
        NOW + HOUR,
        NOW + 6 * HOUR,
        create_profile=True,
        reservation=None,
        at=NOW + number,
    )


async def write(folder: Path) -> None:
    """Make database.db and keyring.json in *folder*."""
    create_keyring(folder / "keyring.json", new_keys("2026-01-02T03:04:05+00:00"))
    keyring = Keyring(folder / "keyring.json")
    vault, tokens = Vault(keyring), Tokens(keyring)
    store = SqlStore(await open_engine(f"sqlite:///{folder / 'database.db'}", 1))
    try:
        await _fill(store, keyring, vault, tokens)
    finally:
        await store.close()


async def _fill(store: SqlStore, keyring: Keyring, vault: Vault, tokens: Tokens) -> None:
    await canary.prove(store.facts, vault, keyring)
    await store.facts.put_once("mode", "live")
    await store.tenants.create(Tenant(TENANT, "golden", NOW))
    key_id = keyring.active(KeyPurpose.API_KEY).key_id
    key = ApiKey("golden", TENANT, "test", SCOPES, key_id, b"v" * 32, NOW)
    assert await store.api_keys.add(key)

    create = Reservation(TENANT, "CreateProfile", "create", "holder")
    fingerprint = tokens.fingerprint(["create"])
    assert await store.idempotency.reserve(create, fingerprint, NOW, NOW + DAY) is None
    await store.profiles.create(TENANT, Profile("prof_empty", "Empty ☺", NOW), create)
    connect = Reservation(TENANT, "ConnectProfile", "connect", "holder")
    fingerprint = tokens.fingerprint(["connect"])
    assert await store.idempotency.reserve(connect, fingerprint, NOW, NOW + DAY) is None
    logins = [
        replace(login(vault, "prof_well", 1), reservation=connect),
        login(vault, "prof_broken", 2),
        login(vault, "prof_ended", 3),
        login(vault, "prof_gone", 4),
        replace(login(vault, "prof_well", 5), create_profile=False),
    ]
    for each in logins:
        await store.connections.save_login(each)
    spent = Debit("did:plc:prof_well", ORIGIN, TENANT, LoginPurpose.CONNECT, NOW)
    await store.login_budget.debit(spent, lambda *_: None)
    await store.login_budget.pause_logins("did:plc:prof_broken", ORIGIN, NOW + HOUR)

    broken, reason = ConnectionState.BROKEN, ReconnectReason.APP_PASSWORD_REVOKED
    for written, state, why, username, kinds in (
        (
            logins[1],
            broken,
            reason,
            "renamed.example",
            (EventKind.BROKEN, EventKind.HANDLE_CHANGED),
        ),
        (logins[4], ConnectionState.UNVERIFIED, None, "well.example", (EventKind.UNVERIFIED,)),
    ):
        held = await store.connections.claim(written.address, NOW + 10, NOW + 10 + SECOND)
        assert held is not None
        found = held.connection._replace(
            state=state,
            reconnect_reason=why,
            username=username,
            last_verified_at=NOW + 11,
            next_check_at=NOW + HOUR,
        )
        upkeep = Upkeep(NOW + 11, NOW, None, 1, 2, NOW + HOUR)
        verdict = VerdictWrite(found, upkeep, kinds, NOW + 11)
        assert await store.connections.save_verdict(held, verdict)
    lent = lease_row(
        *(NOW + 12, TENANT, "golden", "prof_well", "bluesky", "did:plc:prof_well", NOW + HOUR)
    )
    await store.audit.add([lent])
    page = TenantPage("Golden", "", "#0a66c2", ("https://app.example.com",))
    assert await store.links.set_page(TENANT, page, NOW)
    secret = tokens.link(LINK.link_id)[1]
    await store.links.add(NewLink(LINK, secret, None))
    await store.connections.disconnect(TENANT, "prof_ended", "bluesky", NOW + 20)
    await store.profiles.delete(TENANT, "prof_gone", NOW)
    await store.events.mark(NOW + 30)
    await _add_webhook(store, vault)


async def _add_webhook(store: SqlStore, vault: Vault) -> None:
    """One whose secret was rotated, with a message that waits and one that was given up."""
    first = await store.events.page(TENANT, 0, 1)
    await store.webhooks.create(WEBHOOK, webhook_secret(vault, 1))
    await store.webhooks.rotate(WEBHOOK, webhook_secret(vault, 2), NOW + 40, NOW + DAY)
    claimed = await store.webhook_queue.claim(WEBHOOK.webhook_id, NOW + 50, NOW + 60)
    assert claimed is not None
    at, key = NOW + 55, first[0].profile_key
    message_id = WEBHOOK.message_id(1)
    waits = Delivery(
        message_id, 1, key, "connection.connected", NOW + HOUR, None, 1, at, "HTTP_STATUS", 500
    )
    given_up = replace(waits, message_id=WEBHOOK.message_id(2), number=2, failed_at=at)
    failing = claimed.webhook._replace(failures=2, failing_since=at, resume_at=at)
    progress = Progress(failing, at, at, kept=[waits, given_up])
    assert await store.webhook_queue.save(claimed, progress)


def dump(folder: Path) -> None:
    """Put the database's statements in the place of its file."""
    file = folder / "database.db"
    with closing(sqlite3.connect(file)) as database:
        (folder / "database.sql").write_text("\n".join(database.iterdump()) + "\n")
    for each in folder.glob("database.db*"):
        each.unlink()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
    dump(Path(sys.argv[1]))
