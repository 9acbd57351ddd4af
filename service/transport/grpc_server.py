"""The gRPC server: the boundary's skin over grpc.aio."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from postcore.profiles.v1 import (
    error_reason_pb2,
    platform_service_pb2_grpc,
    profile_service_pb2_grpc,
    session_service_pb2_grpc,
)
from service.errors import ServiceError
from service.model import Caller
from service.transport.boundary import DEFAULT_SECONDS, Boundary, Call, request_id
from service.transport.decoding import undecodable
from service.transport.reflected import with_json_names
from service.transport.servicers import (
    SCOPES,
    SERVICES,
    PlatformServicer,
    ProfileServicer,
    SessionServicer,
)
from service.transport.status import STATUS, rich_status

OURS = tuple(f"/{service.full_name}/" for service in SERVICES)
KINDS = {service.full_name: service for service in SERVICES}
LONGEST_SECONDS = 3600.0
OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
    ("grpc.max_receive_message_length", 64 * 1024),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_connection_idle_ms", 15 * 60_000),
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
)

Behaviour = Callable[[Message, Caller], Awaitable[Message]]
# as text: these are generic to the type checker alone
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class PortTaken(Exception):
    """The address cannot be listened on."""


class GrpcServer:
    """Serves the three services, health and reflection on one address."""

    def __init__(
        self,
        boundary: Boundary,
        profiles: ProfileServicer,
        platforms: PlatformServicer,
        sessions: SessionServicer,
        *,
        most_calls: int,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[_BoundaryInterceptor(boundary)],
            options=OPTIONS,
            maximum_concurrent_rpcs=most_calls,
        )
        self._health = health.aio.HealthServicer()
        # cast: to protoc a servicer takes a grpc context, ours take the caller that the
        # boundary found
        profile_service_pb2_grpc.add_ProfileServiceServicer_to_server(
            cast("Any", profiles), self._server
        )
        platform_service_pb2_grpc.add_PlatformServiceServicer_to_server(
            cast("Any", platforms), self._server
        )
        session_service_pb2_grpc.add_SessionServiceServicer_to_server(
            cast("Any", sessions), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*_names(), health.SERVICE_NAME, reflection.SERVICE_NAME),
            self._server,
            pool=with_json_names(
                [
                    *(service.file for service in SERVICES),
                    error_reason_pb2.DESCRIPTOR,
                    error_details_pb2.DESCRIPTOR,  # so that clients can decode our errors
                    health_pb2.DESCRIPTOR,
                    reflection_pb2.DESCRIPTOR,
                ]
            ),
        )

    async def start(self, address: str) -> int:
        """Take calls on *address* (HOST:PORT, port 0: any); returns the port."""
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError:
            raise PortTaken(f"cannot listen on {address}; is the port taken?") from None
        await self._server.start()
        await self._tell_health(health_pb2.HealthCheckResponse.SERVING)
        return port

    async def tell_to_go_elsewhere(self) -> None:
        """Answer NOT_SERVING to health checks; calls are still taken."""
        await self._tell_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def stop(self, grace: float) -> None:
        """End, once the calls under way have ended or *grace* seconds are over."""
        await self._server.stop(grace)

    async def _tell_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *_names()):
            await self._health.set(name, status)


def _names() -> tuple[str, ...]:
    return tuple(service.full_name for service in SERVICES)


class _BoundaryInterceptor(grpc.aio.ServerInterceptor):
    """Puts the boundary around our own methods. Health, reflection and unknown ones need no key."""

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._guarded: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        method = handler_call_details.method
        if not method.startswith(OURS):
            return await continuation(handler_call_details)
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            guarded = self._guarded[method] = self._guard(method, handler)
        return guarded

    def _guard(self, method: str, handler: "Handler") -> "Handler":
        behaviour = cast("Behaviour", handler.unary_unary or handler.unary_stream)
        # taken over from the handler, so that what cannot be decoded fails inside the wall
        decode = cast("Callable[[bytes], Message]", handler.request_deserializer)
        service, _, name = method[1:].partition("/")
        kind = KINDS[service].methods_by_name[name].input_type
        scope = SCOPES[name]

        async def answer(encoded: bytes, context: "Context") -> Message | None:
            metadata = _metadata(context)
            sent_id = request_id(metadata.get("x-request-id"))
            seconds = context.time_remaining()
            call = Call(
                name,
                "grpc",
                metadata.get("x-api-key"),
                sent_id,
                scope,
                DEFAULT_SECONDS if seconds is None else min(seconds, LONGEST_SECONDS),
            )

            async def work(caller: Caller) -> Message:
                try:
                    request = decode(encoded)
                except DecodeError:
                    raise undecodable(encoded, kind) from None
                return await behaviour(request, caller)

            context.set_trailing_metadata((("x-request-id", sent_id),))
            try:
                return await self._boundary.run(call, work)
            except ServiceError as error:
                refusal = error
            await _abort(context, refusal, sent_id)
            return None

        make = (
            grpc.unary_unary_rpc_method_handler
            if handler.unary_unary
            else grpc.unary_stream_rpc_method_handler
        )
        return make(answer, None, handler.response_serializer)


async def _abort(context: "Context", refusal: ServiceError, sent_id: str) -> None:
    status = rich_status(refusal)
    trailing = [*status.trailing_metadata, ("x-request-id", sent_id)]
    if STATUS[type(refusal)].no_retry:
        trailing.append(("grpc-retry-pushback-ms", "-1"))
    await context.abort(status.code, status.details, tuple(trailing))


def _metadata(context: "Context") -> dict[str, str]:
    """The text entries; of a key that is there twice, what both say, which then fits nothing."""
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
