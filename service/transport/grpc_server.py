"""The gRPC server: the boundary's skin over grpc.aio."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import suppress
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
from service.transport.listening import PortTaken
from service.transport.reflected import with_json_names
from service.transport.servicers import (
    SCOPES,
    SERVICES,
    PlatformServicer,
    ProfileServicer,
    SessionServicer,
)
from service.transport.status import STATUS, rich_status

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

ENDLESS_SECONDS = 1e6
LAST_WORDS_SECONDS = 1.0
"""How long a caller that takes nothing more may keep us from ending its call."""

Behaviour = Callable[[Message, Caller], Awaitable[Message]]
Stream = Callable[[Message, Caller], AsyncGenerator[Message, None]]
Read = Callable[[bytes], Message]
# as text: these are generic to the type checker alone
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class GrpcServer:
    """Serves the three services, health and reflection on one address, in plain text where there
    are no *credentials*."""

    def __init__(
        self,
        boundary: Boundary,
        profiles: ProfileServicer,
        platforms: PlatformServicer,
        sessions: SessionServicer,
        *,
        most_calls: int,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=most_calls)
        self._calls = _Guard(boundary, self._server)
        self._health = health.aio.HealthServicer()
        # as any: to protoc a servicer takes a grpc context, ours take the caller that the
        # boundary found; and it knows of no server but grpc's
        calls: Any = self._calls
        profile_service_pb2_grpc.add_ProfileServiceServicer_to_server(cast("Any", profiles), calls)
        platform_service_pb2_grpc.add_PlatformServiceServicer_to_server(
            cast("Any", platforms), calls
        )
        session_service_pb2_grpc.add_SessionServiceServicer_to_server(cast("Any", sessions), calls)
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
            if self._credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError:
            raise PortTaken(address) from None
        await self._server.start()
        await self.tell_to_come()
        return port

    async def tell_to_go_elsewhere(self) -> None:
        """Answer NOT_SERVING to health checks; calls are still taken."""
        await self._tell_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def tell_to_come(self) -> None:
        """Answer SERVING to health checks."""
        await self._tell_health(health_pb2.HealthCheckResponse.SERVING)

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

    async def _tell_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *_names()):
            await self._health.set(name, status)


def _names() -> tuple[str, ...]:
    return tuple(service.full_name for service in SERVICES)


class _UnderWay:
    """Counts the calls in a `with` of it."""

    def __init__(self) -> None:
        self._count = 0
        self.none = asyncio.Event()
        self.none.set()

    def __enter__(self) -> None:
        self._count += 1
        self.none.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self.none.set()


class _Guard:
    """Puts the boundary around each of our methods. Generated code registers with it as it would
    with the server; health and reflection, which need no key, do so with the server itself."""

    def __init__(self, boundary: Boundary, server: grpc.aio.Server) -> None:
        self._boundary = boundary
        self._server = server
        self.under_way = _UnderWay()

    def add_registered_method_handlers(
        self, service: str, handlers: "Mapping[str, Handler]"
    ) -> None:
        guarded = {
            name: self._guarded(service, name, handler) for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, guarded)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same once more, for servers that have no queue for each method."""

    def _guarded(self, service: str, name: str, handler: "Handler") -> "Handler":
        # taken over from the handler, so that what cannot be decoded fails inside the wall
        decode = cast("Callable[[bytes], Message]", handler.request_deserializer)
        kind = KINDS[service].methods_by_name[name].input_type

        def read(encoded: bytes) -> Message:
            try:
                return decode(encoded)
            except DecodeError:
                raise undecodable(encoded, kind) from None

        if handler.unary_unary:
            answer = self._unary(name, read, cast("Behaviour", handler.unary_unary))
            make = grpc.unary_unary_rpc_method_handler
        else:
            answer = self._stream(name, read, cast("Stream", handler.unary_stream))
            make = grpc.unary_stream_rpc_method_handler
        return make(answer, None, handler.response_serializer)

    def _unary(self, name: str, read: Read, behaviour: Behaviour) -> Any:
        async def answer(encoded: bytes, context: "Context") -> Message | None:
            def work(caller: Caller) -> Awaitable[Message]:
                return behaviour(read(encoded), caller)

            call = _call(name, context, DEFAULT_SECONDS)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            with self.under_way:
                try:
                    return await self._boundary.run(call, work)
                except ServiceError as error:
                    refusal = error
                await _abort(context, refusal, call.request_id)
                return None

        return answer

    def _stream(self, name: str, read: Read, stream: Stream) -> Any:
        async def tell(encoded: bytes, context: "Context") -> None:
            def work(caller: Caller) -> AsyncGenerator[Message, None]:
                return stream(read(encoded), caller)

            async def send(message: Message) -> None:
                try:
                    await context.write(message)
                except grpc.aio.InternalError:
                    # the call ended while this waited to be taken; its cancellation is on its way
                    raise asyncio.CancelledError from None

            call = _call(name, context, None)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            with self.under_way:
                try:
                    await self._boundary.stream(call, work, send)
                    return
                except ServiceError as error:
                    refusal = error
                # the status waits behind what the caller has not taken yet
                with suppress(TimeoutError, grpc.aio.InternalError):
                    async with asyncio.timeout(LAST_WORDS_SECONDS):
                        await _abort(context, refusal, call.request_id)

        return tell


def _call(name: str, context: "Context", default: float | None) -> Call:
    metadata = _metadata(context)
    seconds = context.time_remaining()
    if seconds is None:
        seconds = default
    return Call(
        name,
        "grpc",
        metadata.get("x-api-key"),
        request_id(metadata.get("x-request-id")),
        SCOPES[name],
        # what is further off is left to grpc, which ends the call then
        None if seconds is None else min(seconds, LONGEST_SECONDS),
    )


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
