"""The composition root: builds every object, starts, drains and stops."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from service import canary
from service.access import Access
from service.audit import Audit
from service.config import Settings, is_loopback
from service.connect import Connect
from service.heads import Heads
from service.health import Health
from service.idempotency import Idempotency
from service.leases import Leases
from service.limits import Budget, CallLimits, LoginBudgets, LoginLimits
from service.logins import Logins
from service.logouts import Logouts
from service.model import DAY, SECOND, Profile, Tenant
from service.monitor import Monitor
from service.platforms.egress import Egress, Origin
from service.platforms.names import Resolver
from service.platforms.outside import Outside
from service.platforms.registry import ADAPTERS, Registry
from service.ports import Clock, CredentialPlatform, SystemClock
from service.profiles import Profiles
from service.readiness import Readiness
from service.retention import Retention
from service.ring import Ring, UnknownKey, read_keys
from service.schedule import Schedule
from service.sessions import Sessions
from service.storage.opening import open_engine
from service.storage.sqlite import Ownership, make_folder
from service.storage.store import SqlStore
from service.tasks import OwnedTasks
from service.tokens import Tokens
from service.transport import servers
from service.transport.boundary import Boundary
from service.transport.certificates import Certificates
from service.transport.grpc_server import GrpcServer
from service.transport.http import HttpEdge
from service.transport.http_server import HttpServer
from service.transport.servicers import PlatformServicer, ProfileServicer, SessionServicer
from service.transport.streams import Streams
from service.vault import Unreadable, Vault
from service.watch import Watch

SANDBOX_TENANT = "ten_sandbox"
SANDBOX_PROFILE = "prof_abc123"
SYSTEM_CLOCK = SystemClock()

log = structlog.get_logger()


class StartError(Exception):
    """The service cannot start; its text is a sentence for the operator."""


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SqlStore]:
    """The store, its schema brought up to date first; raises StoreError."""
    store = SqlStore(await open_engine(settings.database_url, settings.database_pool_size))
    try:
        yield store
    finally:
        await store.close()


async def open_vault(store: SqlStore, ring: Ring) -> Vault:
    """The vault, once a canary in *store* has shown that *ring* is the one that belongs to it."""
    vault = Vault(ring)
    try:
        await canary.prove(store, vault)
    except (UnknownKey, Unreadable, ValueError):
        raise StartError(
            "the ring is not the one that this database was sealed with; "
            "put the right ring in place of POSTCORE_KEYRING_FILE"
        ) from None
    return vault


async def claim_mode(store: SqlStore, mode: str) -> None:
    """Mark *store* as `live` or `sandbox`, once and for all; raises StartError on the other's."""
    marked = await store.remember("mode", mode)
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


def outside(settings: Settings, clock: Clock) -> Outside:
    """The way out that *settings* describe."""
    names = Resolver()
    try:
        egress = Egress(names, settings.egress_ca_file)
    except OSError:
        raise StartError(
            f"POSTCORE_EGRESS_CA_FILE: {settings.egress_ca_file} cannot be read, "
            "or holds no certificates"
        ) from None
    return Outside(
        egress,
        names,
        clock,
        Origin.parse(settings.plc_url),
        Origin.parse(settings.handle_resolver_url) if settings.handle_resolver_url else None,
        frozenset(map(Origin.parse, settings.trusted_origins)),
    )


@dataclass(frozen=True, slots=True)
class House:
    """All that is built, but for the transports."""

    store: SqlStore
    access: Access
    adapters: tuple[CredentialPlatform, ...]
    registry: Registry
    connect: Connect
    profiles: Profiles
    health: Health
    leases: Leases
    audit: Audit
    monitor: Monitor
    heads: Heads
    watch: Watch
    retention: Retention
    tasks: OwnedTasks
    ring: Ring


@asynccontextmanager
async def house(
    settings: Settings, mode: str = "", clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[House]:
    """Everything built for *settings*, and drained at the end of the block.

    A command that runs beside the server names no *mode*: it takes the store as it is.
    Raises StartError, StoreError or RingError, each with a sentence that says why.
    """
    ring = Ring(settings.keyring_file)
    async with open_store(settings) as store:
        if mode:
            await claim_mode(store, mode)
        vault = await open_vault(store, ring)
        way_out = outside(settings, clock)
        adapters = tuple(make(way_out) for make in ADAPTERS)
        registry = Registry(adapters)
        tasks = OwnedTasks()
        tokens = Tokens(ring)
        idempotency = Idempotency(store, tokens, clock, tasks)
        logouts = Logouts(registry, vault, tasks)
        logins = Logins(LoginLimits(store, clock, _budgets(settings)), clock)
        schedule = Schedule(int(settings.check_hours * 3600 * SECOND))
        connect = Connect(
            store, registry, vault, idempotency, logins, schedule, logouts, clock, tasks
        )
        profiles = Profiles(store, tokens, idempotency, logouts, clock)
        access = Access(store, ring, clock)
        sessions = Sessions(store, registry, vault, logouts, clock)
        health = Health(store, sessions, logins, schedule, clock, tasks)
        audit = Audit(store, clock, settings.lease_audit_days * DAY)
        leases = Leases(store, sessions, health, audit, clock)
        monitor = Monitor(store, health, clock, settings.checks_per_second)
        heads = Heads(store)
        watch = Watch(store, tokens, heads)
        retention = Retention(store, clock, settings.event_retention_days)
        try:
            yield House(
                store,
                access,
                adapters,
                registry,
                connect,
                profiles,
                health,
                leases,
                audit,
                monitor,
                heads,
                watch,
                retention,
                tasks,
                ring,
            )
        finally:
            if undone := await tasks.drain(settings.drain_seconds):
                log.error("stopped before all work was done", tasks=undone)
            await way_out.egress.close()


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that takes calls, and the addresses (HOST:PORT) it can be reached at."""

    grpc: str
    http: str


@asynccontextmanager
async def serving(
    settings: Settings, *, sandbox: bool = False, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[Serving]:
    """The service, taking calls inside the block and drained at its end.

    Raises StartError, StoreError, RingError, CertificateError or PortTaken, each with a sentence
    that says why.
    """
    async with AsyncExitStack() as stack:
        certified = certificates(settings)
        read_keys(settings.keyring_file)  # a start without a ring leaves nothing behind
        if sandbox and settings.is_postgres:
            raise StartError(
                "the sandbox is for a file of its own; name one in POSTCORE_DATABASE_URL, such as "
                "sqlite:///data/sandbox.db"
            )
        if not settings.is_postgres:
            make_folder(settings.database_file)
            stack.callback(Ownership(settings.database_file).give_up)
        if sandbox:
            settings = await stack.enter_async_context(_sandbox(settings))
        mode = "sandbox" if sandbox else "live"
        built = await stack.enter_async_context(house(settings, mode, clock))
        if sandbox:
            await _seed(built.store)
        if not settings.is_postgres:
            # nobody else serves from this database: what a crash left claimed is free
            await built.store.forget_claims()
        await stack.enter_async_context(_going_on(built.ring.follow()))
        await stack.enter_async_context(_going_on(built.audit.run()))
        streams = Streams(built.access, settings.max_streams, settings.streams_per_tenant)
        for work in (streams.run(), built.heads.run(), built.retention.run()):
            await stack.enter_async_context(_going_on(work))
        boundary = Boundary(built.access, CallLimits(settings.calls_per_second), streams)
        profiles = ProfileServicer(built.connect, built.profiles, built.health, built.watch)
        platforms = PlatformServicer(built.registry)
        grpc = GrpcServer(
            boundary,
            profiles,
            platforms,
            SessionServicer(built.leases),
            most_calls=settings.max_concurrent_calls + settings.max_streams,
            credentials=certified.grpc_server() if certified else None,
        )
        http = HttpServer(
            HttpEdge(boundary, profiles, platforms),
            most_connections=settings.max_http_connections,
            origins=settings.http_cors_origins,
            tls=certified.http_server() if certified else None,
        )
        pauses = settings.drain_pause_seconds, settings.drain_seconds
        stack.push_async_callback(servers.stop, (grpc, http), streams, *pauses)
        addresses = Serving(
            await servers.start(grpc, settings.grpc_address),
            await servers.start(http, settings.http_address),
        )
        await stack.enter_async_context(_going_on(Readiness(built.store, (grpc, http)).run()))
        for adapter in built.adapters:
            built.tasks.leave(adapter.warm_up())
        await stack.enter_async_context(_going_on(built.monitor.run()))
        yield addresses


@asynccontextmanager
async def _going_on(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """*work* goes on in the background until the end of the block."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell_of_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("work in the background has ended", exc_info=error)


def _budgets(settings: Settings) -> LoginBudgets:
    return LoginBudgets(
        Budget(*settings.login_budget),
        Budget(*settings.connect_login_budget),
        Budget(*settings.tenant_login_budget),
    )


@asynccontextmanager
async def _sandbox(settings: Settings) -> AsyncIterator[Settings]:
    """A stand-in for Bluesky on loopback, and the settings that lead to it alone."""
    # imported here: a live service neither needs nor loads it
    from service.sandbox.listener import AddressTaken
    from service.sandbox.sandbox import Sandbox

    control_address = settings.sandbox_control_address
    chosen = "sandbox_control_address" in settings.model_fields_set
    if settings.sandbox_address.endswith(":0") and not chosen:
        # who wants a free port for the one can have no use for the usual port of the other
        control_address = settings.sandbox_address
    addresses = settings.grpc_address, settings.http_address, settings.sandbox_address
    for address in (*addresses, control_address):
        if not is_loopback(address):
            raise StartError(f"the sandbox is for this machine alone; {address} is not loopback")
    sandbox = Sandbox()
    try:
        await sandbox.start(settings.sandbox_address, control_address)
    except AddressTaken as error:
        raise StartError(str(error)) from None
    origins = sandbox.first.origin, sandbox.second.origin
    log.info("sandbox is open", control=sandbox.control.address, servers=origins)
    try:
        yield settings.model_copy(
            update={
                "plc_url": origins[0],
                "handle_resolver_url": origins[0],
                "trusted_origins": origins,
            }
        )
    finally:
        await sandbox.stop()


async def _seed(store: SqlStore) -> None:
    """The tenant and the profile of the documentation's examples."""
    now = SystemClock().now()
    if SANDBOX_TENANT not in [tenant.tenant_id for tenant in await store.tenants()]:
        await store.create_tenant(Tenant(SANDBOX_TENANT, "sandbox", now))
    await store.create_profile(SANDBOX_TENANT, Profile(SANDBOX_PROFILE, None, now))
