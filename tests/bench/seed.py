"""Seed: create a store with many tenants, keys and connected profiles."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from service.access.api_keys import ApiKeys
from service.app.startup import claim_mode, open_store, open_vault
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.crypto.vault import Vault
from service.domain.clock import SystemClock
from service.domain.ids import new_profile_key, random_id
from service.domain.model import DAY, Micros, Scope, Session, Tenant
from service.domain.records import LoginWrite, Purpose, SecretAddress
from service.settings import Settings
from service.storage.migrations import migrate_apart
from tests.support.instant import handle_of

KEYS = 8
"""Of each tenant."""
TOKEN = 400
"""The approximate length in characters of a Bluesky server's access token."""
TOGETHER = 50
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Owner:
    """A tenant: its keys, and its connected profiles with the access token of each."""

    tenant_id: str
    keys: tuple[str, ...] = field(repr=False)
    tokens: dict[str, str] = field(repr=False)


def settings(
    folder: Path, database_url: str, more: Mapping[str, str] = MappingProxyType({})
) -> Settings:
    """Return the settings of a service without network access (unless *more* enables it) or call
    limits."""
    keyring = folder / "keyring.json"
    if not keyring.exists():
        create_keyring(keyring, new_keys("bench"))
    if database_url.startswith("sqlite:"):
        Path(database_url.removeprefix("sqlite:///")).touch(0o600)  # as a start creates it
    assert migrate_apart(database_url)
    return Settings.read(
        {
            "POSTCORE_DATABASE_URL": database_url,
            "POSTCORE_KEYRING_FILE": str(keyring),
            "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
            "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
            "POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0",
            "POSTCORE_PLC_URL": NOWHERE,
            "POSTCORE_HANDLE_RESOLVER_URL": NOWHERE,
            "POSTCORE_CALLS_PER_SECOND": "1000000",
            "POSTCORE_DRAIN_PAUSE_SECONDS": "0",
            "POSTCORE_LOOKUPS_PER_TENANT": "100000",
            "POSTCORE_LOOKUPS_PER_HOST": "100000",
            **{f"POSTCORE_{name}": value for name, value in more.items()},
        }
    )


def login(
    vault: Vault, tenant_id: str, now: Micros, origin: str = NOWHERE
) -> tuple[LoginWrite, str]:
    """Return the login of a new account with its own profile, and its access token."""
    token = secrets.token_urlsafe(TOKEN * 3 // 4)
    account_id = f"did:plc:{random_id(24)}"
    address = SecretAddress(
        tenant_id, new_profile_key(), "bluesky", account_id, origin, secrets.randbits(63)
    )
    # from which tests.support.instant reads the account
    refresh = f"{secrets.token_urlsafe(TOKEN * 3 // 4)}.{account_id}"
    session = Session(token, refresh, now + DAY)
    saved = LoginWrite(
        address,
        handle_of(account_id),
        vault.seal("abcd-efgh-ijkl-mnop", Purpose.CREDENTIAL, address),
        vault.seal_session(session, address),
        session.expires_at,
        now + DAY,
        create_profile=True,
        reservation=None,
        at=now,
    )
    return saved, token


async def plant(read: Settings, tenants: int, profiles: int) -> list[Owner]:
    """Create *tenants* tenants with *profiles* connected profiles each."""
    clock = SystemClock()
    keyring = Keyring(read.keyring_file)
    owners = []
    async with open_store(read) as store:
        await claim_mode(store, "live")
        vault = await open_vault(store, keyring)
        access = ApiKeys(store.api_keys, keyring, clock)

        async def connect(tenant_id: str) -> tuple[str, str]:
            saved, token = login(vault, tenant_id, clock.now())
            await store.connections.save_login(saved)
            return saved.address.profile_key, token

        for _ in range(tenants):
            tenant = Tenant(f"ten_{random_id()}", "bench", clock.now())
            await store.tenants.create(tenant)
            keys = []
            for number in range(KEYS):
                plain, key = access.mint(
                    tenant.tenant_id,
                    f"bench {number}",
                    frozenset({Scope.PROFILES_READ, Scope.SESSIONS_LEASE}),
                )
                assert await store.api_keys.add(key)
                keys.append(plain)
            tokens: dict[str, str] = {}
            for begun in range(0, profiles, TOGETHER):
                some = range(min(TOGETHER, profiles - begun))
                tokens |= await asyncio.gather(*(connect(tenant.tenant_id) for _ in some))
            owners.append(Owner(tenant.tenant_id, tuple(keys), tokens))
    return owners
