"""Opening: what a start opens, and the sentences that say why it cannot."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import structlog

from service.connections.login_budget import Budget, LoginBudgets
from service.crypto import canary
from service.crypto.keyring import KeyPurpose, Keyring, KeyringError, UnknownKey, Wrap, age
from service.crypto.vault import Unreadable, Vault
from service.domain.clock import Clock
from service.platforms.egress.context import EgressContext
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from service.settings import PUBLIC_DIRECTORY, Settings
from service.storage.engine import StoreError
from service.storage.opening import open_engine
from service.storage.store import SqlStore
from service.transport.certificates import CertificateError, Certificates
from service.transport.listening import PortTaken

MAX_DIRECT_SECONDS = 90 * 86_400
"""In which a million connections that are refreshed every two hours use a quarter of the 2^32
envelopes that a `seal` key of the direct kind is good for."""
MANUAL = "docs/operations.md"

log = structlog.get_logger()


class StartError(Exception):
    """The service cannot start; its text is a sentence for the operator."""


OPERATOR_ERRORS = (StartError, StoreError, KeyringError, CertificateError, PortTaken)
"""What stops a start and an operator can correct: the text of each is a sentence."""


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SqlStore]:
    """The store, its schema brought up to date first; raises StoreError."""
    store = SqlStore(await open_engine(settings.database_url, settings.database_pool_size))
    try:
        yield store
    finally:
        await store.close()


async def open_vault(store: SqlStore, keyring: Keyring) -> Vault:
    """The vault, once a canary in *store* has shown that *keyring* is the one that belongs to
    it."""
    vault = Vault(keyring)
    try:
        await canary.prove(store.facts, vault, keyring)
    except (UnknownKey, Unreadable, ValueError):
        raise StartError(
            "the keyring is not the one that this database was sealed with; "
            "put the right keyring in place of POSTCORE_KEYRING_FILE"
        ) from None
    return vault


def warn_of_bound(keyring: Keyring, now: datetime) -> None:
    """Log a warning where the active `seal` key has a bound that it may come near."""
    key = keyring.active(KeyPurpose.SEAL)
    if key.wrap is Wrap.DIRECT and age(key.created_at, now) > MAX_DIRECT_SECONDS:
        log.warning("keyring key is old and has a bound", key_id=key.key_id, rotate_it=MANUAL)


async def claim_mode(store: SqlStore, mode: str) -> None:
    """Mark *store* as `live` or `sandbox`, once and for all; raises StartError on the other's."""
    marked = await store.facts.put_once("mode", mode)
    if marked != mode:
        raise StartError(
            f"this database is a {marked} one, and the service was started in {mode} mode; "
            "name another in POSTCORE_DATABASE_URL"
        )


def certificates(settings: Settings) -> Certificates | None:
    """What the server shows to callers, None for plain text; raises CertificateError."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return Certificates(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)


def outside(
    settings: Settings, clock: Clock, leave: Callable[[Coroutine[Any, Any, object]], None]
) -> EgressContext:
    """The way out that *settings* describe; *leave* does what is left of an answer's work."""
    names = Resolver()
    public = frozenset({Origin.parse(PUBLIC_DIRECTORY)})
    roots = Roots(settings.egress_ca_file, settings.egress_proxy_ca_file, public)
    try:
        egress = Egress(names, roots)
    except OSError:
        raise StartError(_bad_roots(settings)) from None
    return EgressContext(
        egress,
        names,
        clock,
        Origin.parse(settings.plc_url),
        Origin.parse(settings.handle_resolver_url) if settings.handle_resolver_url else None,
        frozenset(map(Origin.parse, settings.trusted_origins)),
        leave,
    )


def _bad_roots(settings: Settings) -> str:
    """What is wrong with a file of root certificates, by its variable's name."""
    name, file = "POSTCORE_EGRESS_CA_FILE", settings.egress_ca_file
    with suppress(OSError):
        Egress(Resolver(), Roots(file))
        name, file = "POSTCORE_EGRESS_PROXY_CA_FILE", settings.egress_proxy_ca_file
    return f"{name}: {file} cannot be read, or holds no certificates"


def login_budgets(settings: Settings) -> LoginBudgets:
    """What may be spent on one account."""
    return LoginBudgets(
        Budget(*settings.login_budget),
        Budget(*settings.connect_login_budget),
        Budget(*settings.tenant_login_budget),
    )
