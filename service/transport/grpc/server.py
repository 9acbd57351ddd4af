"""The gRPC server: the contract behind the boundary, health and reflection, on one address."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from postcore.profiles.v1 import (
    error_reason_pb2,
    platform_service_pb2_grpc,
    profile_service_pb2_grpc,
    session_service_pb2_grpc,
)
from service.transport.boundary import Boundary
from service.transport.grpc.connections import Connections
from service.transport.grpc.core import Server
from service.transport.grpc.keyless import REFLECTION_V1, Health, Reflection
from service.transport.grpc.messages import Handler
from service.transport.grpc.methods import LAST_WORDS_SECONDS, Methods, unknown
from service.transport.grpc.reflection_pool import with_json_names
from service.transport.listening import PortTaken
from service.transport.servicers import (
    SERVICES,
    PlatformServicer,
    ProfileServicer,
    SessionServicer,
)

MAX_STREAMS_PER_CONNECTION = 1000
MAX_METADATA_BYTES = 8 * 1024
OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
    ("grpc.max_receive_message_length", 64 * 1024),
    # both alike: between the two grpc refuses by chance
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
ENDLESS_SECONDS = 1e6
NAMES = tuple(service.full_name for service in SERVICES)


class GrpcServer:
    """Serves the three services, health and reflection on one address, in plain text where there
    are no *credentials*, over about *max_connections* connections."""

    def __init__(
        self,
        boundary: Boundary,
        profiles: ProfileServicer,
        platforms: PlatformServicer,
        sessions: SessionServicer,
        *,
        max_connections: int,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._server = Server(
            (*OPTIONS, ("grpc.max_allowed_incoming_connections", max_connections)),
            grpc.stream_unary_rpc_method_handler(unknown),
        )
        self._connections = Connections(max_connections)
        self._port = 0
        self._calls = Methods(boundary, self._server, self._connections.note)
        self._health = Health(NAMES)
        # as any: to protoc a servicer takes a grpc context, ours take the caller that the
        # boundary found; and it knows of no server but grpc's
        calls: Any = self._calls
        profile_service_pb2_grpc.add_ProfileServiceServicer_to_server(cast("Any", profiles), calls)
        platform_service_pb2_grpc.add_PlatformServiceServicer_to_server(
            cast("Any", platforms), calls
        )
        session_service_pb2_grpc.add_SessionServiceServicer_to_server(cast("Any", sessions), calls)
        described = Reflection(NAMES, _pool()).handlers()
        keyless: dict[str, dict[str, Handler]] = {
            health.SERVICE_NAME: self._health.handlers(),
            reflection.SERVICE_NAME: described,
            REFLECTION_V1: described,
        }
        for name, handlers in keyless.items():
            self._server.add_registered_method_handlers(name, handlers)

    async def start(self, address: str) -> int:
        """Take calls on *address* (HOST:PORT, port 0: any); returns the port."""
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

    async def tell_to_go_elsewhere(self) -> None:
        """Answer NOT_SERVING to health checks; calls are still taken."""
        self._health.set_serving(False)

    async def tell_to_come(self) -> None:
        """Answer SERVING to health checks."""
        self._health.set_serving(True)

    async def stop(self, grace: float) -> None:
        """End, once the calls under way have ended or *grace* seconds are over."""
        # of two stops that run at once, as these do, the first must never come to the end of its
        # own grace: it would then cut off the calls of a server that the second has freed
        stopping = asyncio.create_task(self._server.stop(ENDLESS_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._calls.under_way.none.wait()
                # grpc goes on waiting for callers to take what was sent: not for those who take
                # nothing
                await asyncio.wait([stopping], timeout=LAST_WORDS_SECONDS)
        if not stopping.done():
            await self._server.stop(None)
        await stopping

    async def trim_connections(self) -> None:
        """Keep the connections below their limit once the server has started, until cancelled."""
        await self._connections.run(self._port)


def _pool() -> Any:
    """What reflection describes."""
    return with_json_names(
        [
            *(service.file for service in SERVICES),
            error_reason_pb2.DESCRIPTOR,
            error_details_pb2.DESCRIPTOR,  # so that clients can decode our errors
            health_pb2.DESCRIPTOR,
            reflection_pb2.DESCRIPTOR,
        ]
    )
