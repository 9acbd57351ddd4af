"""The composition root: builds every object, starts, drains and stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from service.access.api_keys import ApiKeys
from service.access.idempotency import Idempotency
from service.access.rate_limits import CallLimits
from service.app import descriptors
from service.app.readiness import Readiness
from service.app.sandbox import open_sandbox, seed
from service.app.startup import (
    certificates,
    claim_mode,
    login_budgets,
    open_store,
    open_vault,
    outside,
    warn_of_bound,
)
from service.connections.concurrency import ConcurrencyLimit
from service.connections.connect import Connect
from service.connections.health import Health
from service.connections.lease_audit import Audit
from service.connections.leases import Leases
from service.connections.login_budget import LoginBudget
from service.connections.logins import Logins
from service.connections.logouts import Logouts
from service.connections.lookup_limits import LookupLimits
from service.connections.monitor import Monitor
from service.connections.schedule import Schedule
from service.connections.sessions import Sessions
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.crypto.keyring import Keyring, read_keys
from service.crypto.tokens import Tokens
from service.domain.clock import Clock, SystemClock
from service.domain.model import DAY, SECOND
from service.domain.platform import CredentialPlatform
from service.events.latest_events import Heads
from service.events.retention import Retention
from service.events.watch import Watch
from service.platforms.registry import ADAPTERS, Registry
from service.profiles.profiles import Profiles
from service.runtime.tasks import OwnedTasks, run_in_background
from service.settings import Settings
from service.storage.sqlite_file import Ownership, make_folder
from service.storage.store import SqlStore
from service.transport import servers
from service.transport.admission import Admission
from service.transport.boundary import Boundary
from service.transport.grpc.server import GrpcServer
from service.transport.http.edge import HttpEdge
from service.transport.http.server import HttpServer
from service.transport.servicers import PlatformServicer, ProfileServicer, SessionServicer

SYSTEM_CLOCK = SystemClock()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Application:
    """All that is built, but for the transports."""

    store: SqlStore
    api_keys: ApiKeys
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
    keyring: Keyring


@asynccontextmanager
async def build(
    settings: Settings,
    mode: str = "",
    clock: Clock = SYSTEM_CLOCK,
    timeouts: Timeouts = TIMEOUTS,
) -> AsyncIterator[Application]:
    """Everything built for *settings*, and drained at the end of the block.

    A command that runs beside the server names no *mode*: it takes the store as it is.
    Raises StartError, StoreError or KeyringError, each with a sentence that says why.
    """
    keyring = Keyring(settings.keyring_file)
    async with open_store(settings) as store:
        if mode:
            await claim_mode(store, mode)
        vault = await open_vault(store, keyring)
        if mode:
            warn_of_bound(keyring, datetime.now(UTC))
        tasks = OwnedTasks()
        way_out = outside(settings, clock, tasks.spawn)
        adapters = tuple(make(way_out) for make in ADAPTERS)
        registry = Registry(adapters)
        tokens = Tokens(keyring)
        idempotency = Idempotency(
            store.idempotency, tokens, clock, tasks, int(timeouts.reservation * SECOND)
        )
        servers_here = frozenset(map(str, way_out.account_servers))
        logouts = Logouts(registry, vault, tasks, servers_here if mode == "sandbox" else None)
        logins = Logins(LoginBudget(store.login_budget, clock, login_budgets(settings)), clock)
        schedule = Schedule(int(settings.check_hours * 3600 * SECOND))
        # two shares: connects that hang keep no session from being renewed
        connects, renewals = (ConcurrencyLimit(settings.at_once_per_tenant) for _ in range(2))
        # and two rates, for the same reason
        lookups, checks = (
            LookupLimits(settings.lookups_per_tenant, settings.lookups_per_host) for _ in range(2)
        )
        api_keys = ApiKeys(store.api_keys, keyring, clock)
        connect = Connect(
            store.connections,
            registry,
            vault,
            idempotency,
            logins,
            connects,
            schedule,
            logouts,
            clock,
            tasks,
            api_keys,
            lookups,
            timeouts,
        )
        profiles = Profiles(
            store.profiles,
            store.connections,
            store.tenants,
            tokens,
            idempotency,
            logouts,
            clock,
            tasks,
        )
        sessions = Sessions(store.connections, registry, vault, logouts, clock, timeouts)
        health = Health(
            store.connections, sessions, logins, renewals, schedule, clock, tasks, checks, timeouts
        )
        audit = Audit(store.lease_audit, clock, settings.lease_audit_days * DAY)
        leases = Leases(store.connections, sessions, health, audit, clock)
        monitor = Monitor(
            store.checks, store.connections, health, clock, settings.checks_per_second, timeouts
        )
        heads = Heads(store.events)
        watch = Watch(store.events, tokens, heads)
        retention = Retention(store.events, clock, settings.event_retention_days)
        try:
            yield Application(
                store,
                api_keys,
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
                keyring,
            )
        finally:
            if undone := await tasks.drain(settings.drain_seconds):
                log.error("stopped before all work was done", tasks=undone)
            await way_out.egress.close()


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that takes calls, and the addresses (HOST:PORT) it can be reached at.

    *warm* is done once what loads late has loaded.
    """

    grpc: str
    http: str
    warm: asyncio.Future[list[BaseException | None]]


@asynccontextmanager
async def serving(
    settings: Settings,
    *,
    sandbox: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    timeouts: Timeouts = TIMEOUTS,
) -> AsyncIterator[Serving]:
    """The service, taking calls inside the block and drained at its end.

    Raises StartError, StoreError, KeyringError, CertificateError or PortTaken, each with a sentence
    that says why.
    """
    async with AsyncExitStack() as stack:
        room = descriptors.connections(settings, descriptors.raise_limit())
        certified = certificates(settings)
        read_keys(settings.keyring_file)  # a start without a keyring leaves nothing behind
        if not settings.is_postgres:
            make_folder(settings.database_file)
            stack.callback(Ownership(settings.database_file).give_up)
        if sandbox:
            settings = await stack.enter_async_context(open_sandbox(settings))
        mode = "sandbox" if sandbox else "live"
        built = await stack.enter_async_context(build(settings, mode, clock, timeouts))
        if sandbox:
            await seed(built.store, clock)
        if not settings.is_postgres:
            # nobody else serves from this database: what a crash left claimed is free
            await built.store.connections.forget_claims()
            await built.store.idempotency.forget_reservations()
        admission = admit(built.api_keys, settings)
        for part in (built.keyring.follow, built.audit.run, admission.run, built.heads.run):
            await stack.enter_async_context(run_in_background(part))
        await stack.enter_async_context(run_in_background(built.retention.run))
        boundary = Boundary(built.api_keys, CallLimits(settings.calls_per_second), admission)
        profiles = ProfileServicer(built.connect, built.profiles, built.health, built.watch)
        platforms = PlatformServicer(built.registry)
        grpc = GrpcServer(
            boundary,
            profiles,
            platforms,
            SessionServicer(built.leases),
            max_connections=room.grpc,
            credentials=certified.grpc_server() if certified else None,
        )
        http = HttpServer(
            HttpEdge(boundary, profiles, platforms),
            max_connections=room.http,
            origins=settings.http_cors_origins,
            tls=certified.http_server if certified else None,
        )
        pauses = settings.drain_pause_seconds, settings.drain_seconds
        stack.push_async_callback(servers.stop, (grpc, http), admission, *pauses)
        at_grpc = await servers.start(grpc, settings.grpc_address)
        await stack.enter_async_context(run_in_background(grpc.trim_connections))
        at_http = await servers.start(http, settings.http_address)
        await stack.enter_async_context(
            run_in_background(Readiness(built.store.facts, (grpc, http)).run)
        )
        loading = (built.tasks.start(adapter.warm_up()) for adapter in built.adapters)
        warm = asyncio.gather(*loading, return_exceptions=True)
        await stack.enter_async_context(run_in_background(built.monitor.run))
        yield Serving(at_grpc, at_http, warm)


def admit(api_keys: ApiKeys, settings: Settings) -> Admission:
    """The bounds of calls and streams that *settings* name."""
    return Admission(
        api_keys,
        max_calls=settings.max_concurrent_calls,
        max_calls_per_tenant=settings.concurrent_calls_per_tenant,
        max_streams=settings.max_streams,
        max_streams_per_tenant=settings.streams_per_tenant,
    )
