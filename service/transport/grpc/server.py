"""The gRPC server: the contract, health and reflection on one address."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from postcore.profiles.v1 import error_reason_pb2
from service.transport.boundary import Boundary
from service.transport.grpc.connections import Connections
from service.transport.grpc.core import Server
from service.transport.grpc.keyless import REFLECTION_V1, Health, Reflection
from service.transport.grpc.messages import Handler
from service.transport.grpc.methods import STATUS_SECONDS, Methods, unknown
from service.transport.grpc.reflection_pool import with_json_names
from service.transport.listening import PortTaken
from service.transport.servicers import (
    SERVICES,
    PlatformServicer,
    ProfileServicer,
    SessionServicer,
)
from service.transport.webhooks import WebhookServicer

MAX_STREAMS_PER_CONNECTION = 1000
MAX_METADATA_BYTES = 8 * 1024
OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.so_reuseport", 0),  # a second server on the port fails instead of sharing it
    ("grpc.max_receive_message_length", 64 * 1024),
    # equal: between a lower and a higher limit grpc rejects at random
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_connection_idle_ms", 15 * 60_000),
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
)
UNLIMITED_SECONDS = 1e6
NAMES = tuple(service.full_name for service in SERVICES)


class GrpcServer:
    """Serves the contract, health and reflection on one address.

    It speaks plain text without *credentials*, and keeps about *max_connections* connections.
    """

    def __init__(
        self,
        boundary: Boundary,
        profiles: ProfileServicer,
        platforms: PlatformServicer,
        sessions: SessionServicer,
        webhooks: WebhookServicer,
        *,
        max_connections: int,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._server = Server(
            (*OPTIONS, ("grpc.max_allowed_incoming_connections", max_connections)),
            grpc.stream_unary_rpc_method_handler(unknown(boundary.metrics.unknown)),
        )
        self._connections = Connections(max_connections)
        self._port = 0
        self._methods = Methods(boundary, self._connections.note)
        self._health = Health(NAMES)
        described = Reflection(NAMES, _pool()).handlers()
        by_service: dict[str, dict[str, Handler]] = {
            health.SERVICE_NAME: self._health.handlers(),
            reflection.SERVICE_NAME: described,
            REFLECTION_V1: described,
        }
        servicers = (profiles, platforms, sessions, webhooks)
        for service, servicer in zip(SERVICES, servicers, strict=True):
            by_service[service.full_name] = self._methods.handlers(service, servicer)
        for name, handlers in by_service.items():
            self._server.add_registered_method_handlers(name, handlers)

    async def start(self, address: str) -> int:
        """Accept calls on *address* (HOST:PORT, port 0: any); return the port. Raise PortTaken."""
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError:
            raise PortTaken(address) from None
        await self._server.start()
        self._port = port
        return port

    def set_serving(self, serving: bool) -> None:
        """Answer health checks with SERVING or NOT_SERVING; calls are accepted either way."""
        self._health.set_serving(serving)

    async def stop(self, grace: float) -> None:
        """Stop when the calls in progress have ended, after *grace* seconds at the latest."""
        # two stops run at once; if the grace of the first ran out, it would cancel calls of a
        # server that the second has already freed
        stopping = asyncio.create_task(self._server.stop(UNLIMITED_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._methods.in_progress.idle.wait()
                # grpc also waits for callers to read what was sent, which they may never do
                await asyncio.wait([stopping], timeout=STATUS_SECONDS)
        if not stopping.done():
            await self._server.stop(None)
        await stopping

    async def trim_connections(self) -> None:
        """Keep the connections below their limit until cancelled. Call it after `start`."""
        await self._connections.run(self._port)


def _pool() -> Any:
    """Return the descriptors that reflection serves."""
    return with_json_names(
        [
            *(service.file for service in SERVICES),
            error_reason_pb2.DESCRIPTOR,
            error_details_pb2.DESCRIPTOR,  # lets clients decode error details
            health_pb2.DESCRIPTOR,
            reflection_pb2.DESCRIPTOR,
        ]
    )
