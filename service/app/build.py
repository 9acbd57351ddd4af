"""The composition root: builds every object of the application; finishes its tasks at the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from opentelemetry.trace import Tracer

from service import __version__
from service.access.api_keys import ApiKeys
from service.access.audit import AuditTrail
from service.access.idempotency import Idempotency
from service.access.rate_limits import CallLimits
from service.app.gauges import Gauges, show_counts
from service.app.startup import (
    check_platform_origins,
    claim_mode,
    egress_context,
    login_budgets,
    open_store,
    open_vault,
    receivers,
    warn_of_old_key,
)
from service.connections.concurrency import ConcurrencyLimit
from service.connections.connect import Connect
from service.connections.health import Health
from service.connections.leases import Leases
from service.connections.links import ConnectLinks
from service.connections.login_budget import LoginBudget
from service.connections.logins import Logins
from service.connections.logouts import Logouts
from service.connections.lookup_limits import LookupLimits
from service.connections.monitor import Monitor
from service.connections.platform_calls import PlatformCalls
from service.connections.schedule import Schedule
from service.connections.sessions import Sessions
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.crypto.keyring import Keyring
from service.crypto.tokens import Tokens
from service.domain.clock import Clock, SystemClock
from service.domain.model import DAY, SECOND
from service.domain.platform import CredentialPlatform
from service.events.latest_events import LatestEvents
from service.events.retention import Retention
from service.events.watch import Watch
from service.events.webhooks.dispatcher import Dispatcher
from service.events.webhooks.sender import Sender
from service.events.webhooks.webhooks import Webhooks
from service.platforms.registry import ADAPTERS, Registry
from service.profiles.profiles import Profiles
from service.runtime.metrics import Metrics
from service.runtime.tasks import OwnedTasks
from service.settings import Settings
from service.storage.store import SqlStore
from service.transport.admission import Admission
from service.transport.boundary import Boundary
from service.transport.call_metrics import CallMetrics
from service.transport.webhooks import payload

SYSTEM_CLOCK = SystemClock()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """All objects of the application except the servers."""

    store: SqlStore
    keyring: Keyring
    tasks: OwnedTasks
    api_keys: ApiKeys
    admission: Admission
    boundary: Boundary
    adapters: tuple[CredentialPlatform, ...]
    registry: Registry
    connect: Connect
    links: ConnectLinks
    health: Health
    leases: Leases
    audit: AuditTrail
    monitor: Monitor
    profiles: Profiles
    latest_events: LatestEvents
    watch: Watch
    metrics: Metrics
    gauges: Gauges
    retention: Retention
    webhooks: Webhooks
    dispatcher: Dispatcher


@asynccontextmanager
async def build(
    settings: Settings,
    mode: str = "",
    clock: Clock = SYSTEM_CLOCK,
    timeouts: Timeouts = TIMEOUTS,
    tracer: Tracer | None = None,
) -> AsyncIterator[Application]:
    """Open the store and the keyring, and build the application; drain its tasks at the end.

    A server passes its *mode*: `live` or `sandbox`. A command that runs beside a server passes
    none, and accepts a store of either mode. *tracer* makes the spans of calls; without it there
    are none. Raises StartError, StoreError or KeyringError.
    """
    metrics = Metrics(__version__)
    keyring = Keyring(settings.keyring_file)
    async with open_store(settings, metrics) as store:
        if mode:
            await claim_mode(store, mode)
        vault = await open_vault(
            store, keyring, lambda why: metrics.secret_failures.labels(why).inc()
        )
        if mode:
            warn_of_old_key(keyring, datetime.now(UTC))
        tasks = OwnedTasks()

        def note_request(outcome: str) -> None:
            metrics.egress.labels(outcome).inc()

        # platforms
        egress = egress_context(
            settings,
            clock,
            tasks.spawn,
            only_trusted=mode == "sandbox",
            note=note_request,
        )
        adapters = tuple(make(egress) for make in ADAPTERS)
        registry = Registry(adapters)
        check_platform_origins(settings, {adapter.card.platform for adapter in adapters})

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

        # connections and events
        # connects and renewals have separate limits, so that a slow connect delays no renewal
        connect_limit, renewal_limit = (
            ConcurrencyLimit(settings.at_once_per_tenant) for _ in range(2)
        )
        per_tenant, per_host = settings.lookups_per_tenant, settings.lookups_per_host
        connect_lookups, check_lookups = (LookupLimits(per_tenant, per_host) for _ in range(2))
        schedule = Schedule(int(settings.check_hours * 3600 * SECOND))
        sandbox_servers = frozenset(map(str, egress.account_servers)) if mode == "sandbox" else None
        logouts = Logouts(registry, vault, tasks, sandbox_servers)
        calls = PlatformCalls(metrics)
        budget = LoginBudget(store.login_budget, clock, login_budgets(settings))
        logins = Logins(budget, clock, calls, metrics)
        sessions = Sessions(store.connections, registry, vault, logouts, clock, timeouts)
        health = Health(
            store.connections,
            sessions,
            logins,
            renewal_limit,
            schedule,
            clock,
            tasks,
            check_lookups,
            timeouts,
            calls,
            metrics,
        )
        audit = AuditTrail(
            store.audit,
            clock,
            settings.audit_days * DAY,
            {card.platform for card in registry.cards()},
        )
        connect = Connect(
            store.connections,
            registry,
            vault,
            idempotency,
            logins,
            connect_limit,
            schedule,
            logouts,
            clock,
            tasks,
            api_keys,
            connect_lookups,
            timeouts,
            calls,
        )
        latest_events = LatestEvents(store.events)
        watch = Watch(store.events, tokens, latest_events)
        to_receivers = receivers(
            settings, egress, only_trusted=mode == "sandbox", note=note_request
        )
        sender = Sender(to_receivers, vault, clock)
        show_counts(metrics, admission, watch, keyring, store)

        try:
            yield Application(
                store=store,
                keyring=keyring,
                tasks=tasks,
                api_keys=api_keys,
                admission=admission,
                metrics=metrics,
                boundary=Boundary(
                    api_keys,
                    CallLimits(settings.calls_per_second),
                    admission,
                    audit,
                    CallMetrics(metrics),
                    tracer,
                ),
                adapters=adapters,
                registry=registry,
                connect=connect,
                links=ConnectLinks(
                    store.links,
                    store.profiles,
                    registry,
                    connect,
                    tokens,
                    api_keys,
                    idempotency,
                    clock,
                    metrics,
                ),
                health=health,
                leases=Leases(store.connections, sessions, health, audit, clock, metrics),
                audit=audit,
                monitor=Monitor(
                    store.checks,
                    store.connections,
                    health,
                    clock,
                    settings.checks_per_second,
                    timeouts,
                    metrics,
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
                latest_events=latest_events,
                watch=watch,
                gauges=Gauges(metrics, store, keyring, clock),
                retention=Retention(
                    store.events,
                    store.webhook_queue,
                    store.login_budget,
                    store.links,
                    store.idempotency,
                    clock,
                    settings.event_retention_days,
                ),
                webhooks=Webhooks(store.webhooks, to_receivers, sender, vault, tokens, clock),
                dispatcher=Dispatcher(
                    store.webhook_queue, store.events, sender, payload, clock, metrics, tasks
                ),
            )
        finally:
            if unfinished := await tasks.drain(settings.drain_seconds):
                log.error("stopped before all work was done", tasks=unfinished)
            await egress.egress.close()
            await to_receivers.close()
