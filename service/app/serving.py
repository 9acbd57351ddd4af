"""Serving: starts the application and its servers, and stops them in the reverse order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.app.build import SYSTEM_CLOCK, build
from service.app.descriptors import connection_limits, raise_descriptor_limit
from service.app.gauges import show_certificate
from service.app.readiness import Readiness, checks
from service.app.sandbox import open_sandbox, seed
from service.app.startup import certificates, owned_database
from service.app.tracing import tracing
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.crypto.keyring import read_keys
from service.domain.clock import Clock
from service.runtime.tasks import run_in_background
from service.settings import OFF, Settings, traces_wanted
from service.storage.store import SqlStore
from service.transport import servers
from service.transport.grpc.server import GrpcServer
from service.transport.http.admin import AdminEdge
from service.transport.http.edge import HttpEdge
from service.transport.http.server import HttpServer
from service.transport.page.page import ConnectPage
from service.transport.servicers import PlatformServicer, ProfileServicer, SessionServicer
from service.transport.webhooks import WebhookServicer

MAX_ADMIN_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a service takes calls (HOST:PORT); *admin* is empty if there is no such server.

    *warm* is done once adapters have loaded.
    """

    grpc: str
    http: str
    admin: str
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

        # these steps can fail; they come first, since nothing must be undone after them
        limits = connection_limits(settings, raise_descriptor_limit())
        tls = certificates(settings)
        read_keys(settings.keyring_file)

        # the application
        stack.enter_context(owned_database(settings))
        if sandbox:
            settings = await stack.enter_async_context(open_sandbox(settings))
        mode = "sandbox" if sandbox else "live"
        tracer = await stack.enter_async_context(tracing(is_wanted=traces_wanted()))
        built = await stack.enter_async_context(build(settings, mode, clock, timeouts, tracer))
        if sandbox:
            await seed(built.store, clock)
        if not settings.is_postgres:
            await _release_all(built.store)
        await background(built.keyring.follow, built.audit.run, built.admission.run)
        await background(built.latest_events.run, built.retention.run)
        gauges = built.gauges
        await background(gauges.follow_lag, gauges.count_rows, gauges.follow_loop)

        # the servers, which stop before the loops above do
        profiles = ProfileServicer(
            built.connect, built.links, built.profiles, built.health, built.watch
        )
        platforms = PlatformServicer(built.registry.cards())
        webhooks = WebhookServicer(built.webhooks)
        grpc = GrpcServer(
            built.boundary,
            profiles,
            platforms,
            SessionServicer(built.leases),
            webhooks,
            max_connections=limits.grpc,
            credentials=tls.grpc_server() if tls else None,
        )
        page = ConnectPage(built.links, built.boundary, built.registry.cards())
        edge = HttpEdge(built.boundary, profiles, platforms, webhooks, pages=page.answers)
        built.metrics.http_active.set_function(lambda: edge.active)
        http = HttpServer(
            edge,
            max_connections=limits.http,
            origins=settings.http_cors_origins,
            tls=tls.http_server if tls else None,
        )
        readiness = Readiness(built.store.facts, (grpc, http))
        if tls is not None:
            show_certificate(built.metrics, tls)
        admin = AdminEdge(built.metrics, checks(readiness, built.keyring))
        admin_server = HttpServer(admin, max_connections=MAX_ADMIN_CONNECTIONS)
        pauses = settings.drain_pause_seconds, settings.drain_seconds
        # probes are answered until all calls have ended, and show the drain meanwhile
        stack.push_async_callback(admin_server.stop, 0)
        stack.push_async_callback(servers.stop, (grpc, http), built.admission, *pauses)
        stack.callback(setattr, admin, "draining", True)
        admin_address = ""
        if settings.admin_address != OFF:
            admin_address = await servers.start(admin_server, settings.admin_address)
        grpc_address = await servers.start(grpc, settings.grpc_address)
        await background(grpc.trim_connections)
        http_address = await servers.start(http, settings.http_address)
        built.links.serve_at(settings.public_url or http_address, is_tls=tls is not None)

        # the loops below stop before the servers; warm-ups end later, when *tasks* is drained
        await background(readiness.run)
        loading = (built.tasks.start(adapter.warm_up()) for adapter in built.adapters)
        warm = asyncio.gather(*loading, return_exceptions=True)
        await background(built.monitor.run, built.dispatcher.run)
        yield Serving(grpc_address, http_address, admin_address, warm)


async def _release_all(store: SqlStore) -> None:
    """Release what is claimed: this process is the only server of the file, so that a crash has
    left all of it."""
    await store.connections.release_all_claims()
    await store.idempotency.release_all()
    await store.webhook_queue.release_all()
