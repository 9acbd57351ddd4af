"""The composition root: builds every object, starts the servers, drains and stops them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from service.access.api_keys import ApiKeys
from service.access.idempotency import Idempotency
from service.access.rate_limits import CallLimits
from service.app.descriptors import connection_limits, raise_descriptor_limit
from service.app.readiness import Readiness
from service.app.sandbox import open_sandbox, seed
from service.app.startup import (
    certificates,
    claim_mode,
    egress_context,
    login_budgets,
    open_store,
    open_vault,
    owned_database,
    warn_of_old_key,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Every object but the servers."""

    store: SqlStore
    keyring: Keyring
    tasks: OwnedTasks
    api_keys: ApiKeys
    admission: Admission
    boundary: Boundary
    adapters: tuple[CredentialPlatform, ...]
    registry: Registry
    connect: Connect
    health: Health
    leases: Leases
    audit: Audit
    monitor: Monitor
    profiles: Profiles
    heads: Heads
    watch: Watch
    retention: Retention


@asynccontextmanager
async def build(
    settings: Settings,
    mode: str = "",
    clock: Clock = SYSTEM_CLOCK,
    timeouts: Timeouts = TIMEOUTS,
) -> AsyncIterator[Application]:
    """Open what *settings* name and build the application; drain it at the end of the block.

    A server names its *mode*, `live` or `sandbox`; a command that runs beside it names none, and
    takes a store of either. Raises StartError, StoreError or KeyringError.
    """
    keyring = Keyring(settings.keyring_file)
    async with open_store(settings) as store:
        if mode:
            await claim_mode(store, mode)
        vault = await open_vault(store, keyring)
        if mode:
            warn_of_old_key(keyring, datetime.now(UTC))
        tasks = OwnedTasks()

        # platforms
        egress = egress_context(settings, clock, tasks.spawn)
        adapters = tuple(make(egress) for make in ADAPTERS)
        registry = Registry(adapters)

        # access
        tokens = Tokens(keyring)
        api_keys = ApiKeys(store.api_keys, keyring, clock)
        idempotency = Idempotency(
            store.idempotency, tokens, clock, tasks, int(timeouts.reservation * SECOND)
        )
        admission = Admission(
            api_keys,
            max_calls=settings.max_concurrent_calls,
            max_calls_per_tenant=settings.concurrent_calls_per_tenant,
            max_streams=settings.max_streams,
            max_streams_per_tenant=settings.streams_per_tenant,
        )

        # connections and events; connects have limits of their own, so that those that hang keep no
        # session from being renewed
        connects, renewals = (ConcurrencyLimit(settings.at_once_per_tenant) for _ in range(2))
        per_tenant, per_host = settings.lookups_per_tenant, settings.lookups_per_host
        lookups, checks = (LookupLimits(per_tenant, per_host) for _ in range(2))
        schedule = Schedule(int(settings.check_hours * 3600 * SECOND))
        sandbox_servers = frozenset(map(str, egress.account_servers)) if mode == "sandbox" else None
        logouts = Logouts(registry, vault, tasks, sandbox_servers)
        logins = Logins(LoginBudget(store.login_budget, clock, login_budgets(settings)), clock)
        sessions = Sessions(store.connections, registry, vault, logouts, clock, timeouts)
        health = Health(
            store.connections, sessions, logins, renewals, schedule, clock, tasks, checks, timeouts
        )
        audit = Audit(store.lease_audit, clock, settings.lease_audit_days * DAY)
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
        heads = Heads(store.events)

        try:
            yield Application(
                store=store,
                keyring=keyring,
                tasks=tasks,
                api_keys=api_keys,
                admission=admission,
                boundary=Boundary(api_keys, CallLimits(settings.calls_per_second), admission),
                adapters=adapters,
                registry=registry,
                connect=connect,
                health=health,
                leases=Leases(store.connections, sessions, health, audit, clock),
                audit=audit,
                monitor=Monitor(
                    store.checks,
                    store.connections,
                    health,
                    clock,
                    settings.checks_per_second,
                    timeouts,
                ),
                profiles=Profiles(
                    store.profiles,
                    store.connections,
                    store.tenants,
                    tokens,
                    idempotency,
                    logouts,
                    clock,
                    tasks,
                ),
                heads=heads,
                watch=Watch(store.events, tokens, heads),
                retention=Retention(store.events, clock, settings.event_retention_days),
            )
        finally:
            if unfinished := await tasks.drain(settings.drain_seconds):
                log.error("stopped before all work was done", tasks=unfinished)
            await egress.egress.close()


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a service takes calls (HOST:PORT); *warm* is done once adapters have loaded."""

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
    """Take calls inside the block; drain at its end.

    Raises StartError, StoreError, KeyringError, CertificateError or PortTaken.
    """
    async with AsyncExitStack() as stack:

        async def background(*loops: Callable[[], Coroutine[Any, Any, None]]) -> None:
            for loop in loops:
                await stack.enter_async_context(run_in_background(loop))

        # what can fail here leaves nothing behind
        limits = connection_limits(settings, raise_descriptor_limit())
        tls = certificates(settings)
        read_keys(settings.keyring_file)

        # the application
        stack.enter_context(owned_database(settings))
        if sandbox:
            settings = await stack.enter_async_context(open_sandbox(settings))
        mode = "sandbox" if sandbox else "live"
        built = await stack.enter_async_context(build(settings, mode, clock, timeouts))
        if sandbox:
            await seed(built.store, clock)
        if not settings.is_postgres:
            # a crash has left these, since no other process can hold them
            await built.store.connections.forget_claims()
            await built.store.idempotency.forget_reservations()
        await background(built.keyring.follow, built.audit.run, built.admission.run)
        await background(built.heads.run, built.retention.run)

        # the servers, which stop before the loops above do
        profiles = ProfileServicer(built.connect, built.profiles, built.health, built.watch)
        platforms = PlatformServicer(built.registry.cards())
        grpc = GrpcServer(
            built.boundary,
            profiles,
            platforms,
            SessionServicer(built.leases),
            max_connections=limits.grpc,
            credentials=tls.grpc_server() if tls else None,
        )
        http = HttpServer(
            HttpEdge(built.boundary, profiles, platforms),
            max_connections=limits.http,
            origins=settings.http_cors_origins,
            tls=tls.http_server if tls else None,
        )
        pauses = settings.drain_pause_seconds, settings.drain_seconds
        stack.push_async_callback(servers.stop, (grpc, http), built.admission, *pauses)
        grpc_address = await servers.start(grpc, settings.grpc_address)
        await background(grpc.trim_connections)
        http_address = await servers.start(http, settings.http_address)

        # what follows stops before the servers do
        await background(Readiness(built.store.facts, (grpc, http)).run)
        loading = (built.tasks.start(adapter.warm_up()) for adapter in built.adapters)
        warm = asyncio.gather(*loading, return_exceptions=True)
        await background(built.monitor.run)
        yield Serving(grpc_address, http_address, warm)
