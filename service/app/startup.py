"""What a start opens, each with the errors that stop it."""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import Any

import structlog

from service.access.api_keys import ApiKeys
from service.connections.login_budget import Budget, LoginBudgets
from service.crypto import canary
from service.crypto.keyring import KeyPurpose, Keyring, KeyringError, UnknownKey, Wrap, age
from service.crypto.vault import Unreadable, Vault
from service.domain.clock import Clock, SystemClock
from service.domain.model import Scope
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from service.platforms.egress.receivers import Receivers
from service.platforms.egress.transport import Note, ignore
from service.runtime.metrics import Metrics
from service.settings import PUBLIC_DIRECTORY, Settings
from service.storage.engine import StoreError
from service.storage.measured import MeasuredEngine
from service.storage.opening import open_engine
from service.storage.sqlite_file import Ownership, make_folder
from service.storage.store import SqlStore
from service.transport.certificates import CertificateError, Certificates
from service.transport.listening import PortTaken

MAX_DIRECT_KEY_SECONDS = 90 * 86_400
"""The age at which a warning asks for a rotation. A `seal` key that wraps directly is safe for 2^32
envelopes; a million connections, refreshed every two hours, use a quarter of those in this time."""
MANUAL = "docs/operations.md"

log = structlog.get_logger()


class StartError(Exception):
    """The service cannot start; its text is a sentence for the operator."""


OPERATOR_ERRORS = (StartError, StoreError, KeyringError, CertificateError, PortTaken)
"""What stops a start and an operator can correct: the text of each is a sentence."""


@contextmanager
def owned_database(settings: Settings) -> Iterator[None]:
    """Keep other servers from the database inside the block, where it is an SQLite file.

    Makes the file's folder. Raises StoreError where another server has the file.
    """
    if settings.is_postgres:
        yield
        return
    make_folder(settings.database_file)
    ownership = Ownership(settings.database_file)
    try:
        yield
    finally:
        ownership.release()


@asynccontextmanager
async def open_store(settings: Settings, metrics: Metrics | None = None) -> AsyncIterator[SqlStore]:
    """Open the store, migrated to the present schema; raises StoreError.

    Measure it in *metrics*, if given.
    """
    engine = await open_engine(settings.database_url, settings.database_pool_size)
    store = SqlStore(engine if metrics is None else MeasuredEngine(engine, metrics))
    try:
        yield store
    finally:
        await store.close()


async def claim_mode(store: SqlStore, mode: str) -> None:
    """Mark *store* as `live` or `sandbox` for good; raises StartError if it has the other mark."""
    marked = await store.facts.put_once("mode", mode)
    if marked != mode:
        raise StartError(
            f"this database is a {marked} one, and the service was started in {mode} mode; "
            "name another in POSTCORE_DATABASE_URL"
        )


async def open_vault(
    store: SqlStore, keyring: Keyring, note_failure: Callable[[str], None] = ignore
) -> Vault:
    """Open the vault; raises StartError unless the canary proves that *keyring* is the store's.

    *note_failure*: see Vault.
    """
    vault = Vault(keyring, note_failure)
    try:
        await canary.prove(store.facts, vault, keyring)
    except (UnknownKey, Unreadable, ValueError):
        raise StartError(
            "the keyring is not the one that this database was sealed with; "
            "put the right keyring in place of POSTCORE_KEYRING_FILE"
        ) from None
    return vault


async def create_api_key(
    settings: Settings, tenant_id: str, name: str, scopes: frozenset[Scope]
) -> str | None:
    """Mint and store an API key; return it in plain text, None if there is no such tenant."""
    keyring = Keyring(settings.keyring_file)
    async with open_store(settings) as store:
        await open_vault(store, keyring)
        plain, key = ApiKeys(store.api_keys, keyring, SystemClock()).mint(tenant_id, name, scopes)
        return plain if await store.api_keys.add(key) else None


def warn_of_old_key(keyring: Keyring, now: datetime) -> None:
    """Log a warning if the active `seal` key wraps directly and is MAX_DIRECT_KEY_SECONDS old."""
    key = keyring.active(KeyPurpose.SEAL)
    if key.wrap is Wrap.DIRECT and age(key.created_at, now) > MAX_DIRECT_KEY_SECONDS:
        log.warning("keyring key is old and has a bound", key_id=key.key_id, rotate_it=MANUAL)


def certificates(settings: Settings) -> Certificates | None:
    """Load the server's certificates, None for plain text; raises CertificateError."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return Certificates(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)


def egress_context(
    settings: Settings,
    clock: Clock,
    spawn: Callable[[Coroutine[Any, Any, object]], None],
    *,
    only_trusted: bool = False,
    note: Note = ignore,
) -> EgressContext:
    """Return what adapters make outbound calls with; raises StartError on bad root certificates.

    *spawn* runs work of theirs that outlives a call, such as the end of a session. *only_trusted*:
    reach trusted origins only. *note* counts the outcomes of requests.
    """
    names = Resolver()
    public = frozenset({Origin.parse(PUBLIC_DIRECTORY)})
    roots = Roots(settings.egress_ca_file, settings.egress_proxy_ca_file, public)
    try:
        egress = Egress(names, roots, only_trusted=only_trusted, note=note)
    except OSError:
        raise StartError(_bad_roots(settings)) from None
    return EgressContext(
        egress,
        names,
        clock,
        Origin.parse(settings.plc_url),
        Origin.parse(settings.handle_resolver_url) if settings.handle_resolver_url else None,
        frozenset(map(Origin.parse, settings.trusted_origins)),
        spawn,
        {name: Origin.parse(origin) for name, origin in settings.platform_origins.items()},
    )


def receivers(
    settings: Settings, context: EgressContext, *, only_trusted: bool, note: Note
) -> Receivers:
    """Return what sends to webhooks, with connections of its own. Parameters: see Egress."""
    roots = Roots(settings.egress_ca_file, settings.egress_proxy_ca_file)
    egress = Egress(context.names, roots, only_trusted=only_trusted, note=note)
    return Receivers(egress, frozenset(map(Origin.parse, settings.webhook_origins)))


def check_platform_origins(settings: Settings, platforms: Collection[str]) -> None:
    """Raise StartError if POSTCORE_PLATFORM_ORIGINS names a platform that is not in *platforms*."""
    if unknown := sorted(settings.platform_origins.keys() - platforms):
        raise StartError(
            f"POSTCORE_PLATFORM_ORIGINS: no platform {', '.join(unknown)};"
            f" there are {', '.join(sorted(platforms))}"
        )


def _bad_roots(settings: Settings) -> str:
    """Say which file of root certificates is at fault: the one whose roots alone fail to load."""
    name, file = "POSTCORE_EGRESS_CA_FILE", settings.egress_ca_file
    with suppress(OSError):
        Egress(Resolver(), Roots(file))
        name, file = "POSTCORE_EGRESS_PROXY_CA_FILE", settings.egress_proxy_ca_file
    return f"{name}: {file} cannot be read, or holds no certificates"


def login_budgets(settings: Settings) -> LoginBudgets:
    """Return how many logins *settings* allow for one account."""
    return LoginBudgets(
        Budget(*settings.login_budget),
        Budget(*settings.connect_login_budget),
        Budget(*settings.tenant_login_budget),
    )
