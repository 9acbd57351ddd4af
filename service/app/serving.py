"""Serving: starts the application and its servers, and stops them in the reverse order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.app.build import SYSTEM_CLOCK, build
from service.app.descriptors import connection_limits, raise_descriptor_limit
from service.app.readiness import Readiness
from service.app.sandbox import open_sandbox, seed
from service.app.startup import certificates, owned_database
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.crypto.keyring import read_keys
from service.domain.clock import Clock
from service.runtime.tasks import run_in_background
from service.settings import Settings
from service.transport import servers
from service.transport.grpc.server import GrpcServer
from service.transport.http.edge import HttpEdge
from service.transport.http.server import HttpServer
from service.transport.servicers import PlatformServicer, ProfileServicer, SessionServicer


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

        # these steps can fail; they come first, since nothing must be undone after them
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
            # this process is the only server of the file, so that a crash has left all of these
            await built.store.connections.release_all_claims()
            await built.store.idempotency.release_all()
        await background(built.keyring.follow, built.audit.run, built.admission.run)
        await background(built.latest_events.run, built.retention.run)

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

        # the loops below stop before the servers; warm-ups end later, when *tasks* is drained
        await background(Readiness(built.store.facts, (grpc, http)).run)
        loading = (built.tasks.start(adapter.warm_up()) for adapter in built.adapters)
        warm = asyncio.gather(*loading, return_exceptions=True)
        await background(built.monitor.run)
        yield Serving(grpc_address, http_address, warm)
