"""The methods of the contract over gRPC: the boundary around each, and the status of a refusal.

A handler is called as soon as the headers of a call are there. So a call without a valid key is
refused before its message is waited for, which may never come. To grpc every method takes a stream
of messages therefore; on the wire that is the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from service.domain.errors import InvalidRequest, NotImplementedYet, ServiceError
from service.domain.model import Caller
from service.transport.boundary import DEFAULT_SECONDS, Boundary, Call, request_id
from service.transport.grpc.core import Server
from service.transport.grpc.decoding import undecodable
from service.transport.grpc.messages import (
    MESSAGE_SECONDS,
    Context,
    Handler,
    MessageLate,
    read_message,
    refuse,
)
from service.transport.servicers import SCOPES, SERVICES
from service.transport.status import STATUS, rich_status

KINDS = {service.full_name: service for service in SERVICES}
MAX_SECONDS = 60.0
"""Until the deadline of a call with one reply, whatever its caller allows."""
MAX_STREAM_SECONDS = 3600.0
"""A stream's deadline that is further off is grpc's alone to keep."""
LAST_WORDS_SECONDS = 1.0
"""How long a caller that takes nothing more may keep us from ending its call."""

Behaviour = Callable[[Message, Caller], Awaitable[Message]]
Stream = Callable[[Message, Caller], AsyncGenerator[Message, None]]
Decode = Callable[[bytes], Message]


class UnderWay:
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


class Methods:
    """Registers methods with *server*, each behind *boundary*. Generated code takes it for a
    server.

    *on_call* learns of each call with a valid key: its connection, and 1 as a stream begins, -1 as
    one ends, else 0.
    """

    def __init__(
        self, boundary: Boundary, server: Server, on_call: Callable[[str, int], None]
    ) -> None:
        self._boundary = boundary
        self._server = server
        self._on_call = on_call
        self.under_way = UnderWay()

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        guarded = {
            name: self._guarded(service, name, handler) for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, guarded)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same once more, for servers that have no queue for each method."""

    def _guarded(self, service: str, name: str, handler: Handler) -> Handler:
        # taken over from the handler, so that what cannot be decoded fails inside the boundary
        decode = cast("Decode", handler.request_deserializer)
        kind = KINDS[service].methods_by_name[name].input_type

        async def read(context: Context) -> Message:
            try:
                encoded = await read_message(context)
            except MessageLate:
                fault = f"was not sent within {MESSAGE_SECONDS:.0f} seconds"
                raise InvalidRequest("", fault) from None
            if encoded is None:
                raise InvalidRequest("", "is missing")
            try:
                return decode(encoded)
            except DecodeError:
                raise undecodable(encoded, kind) from None

        if handler.unary_unary:
            answer = self._unary(name, read, cast("Behaviour", handler.unary_unary))
            return grpc.stream_unary_rpc_method_handler(answer, None, handler.response_serializer)
        told = self._stream(name, read, cast("Stream", handler.unary_stream))
        return grpc.stream_stream_rpc_method_handler(told, None, handler.response_serializer)

    def _unary(
        self, name: str, read: Callable[[Context], Awaitable[Message]], behaviour: Behaviour
    ) -> Any:
        async def answer(_: object, context: Context) -> Message | None:
            async def work(caller: Caller) -> Message:
                self._on_call(context.peer(), 0)
                return await behaviour(await read(context), caller)

            call = _call(name, context, DEFAULT_SECONDS, MAX_SECONDS)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            with self.under_way:
                try:
                    return await self._boundary.run(call, work)
                except ServiceError as error:
                    refusal = error
                await _refuse(context, refusal, call.request_id)
                return None

        return answer

    def _stream(
        self, name: str, read: Callable[[Context], Awaitable[Message]], stream: Stream
    ) -> Any:
        async def answer(_: object, context: Context) -> None:
            async def work(caller: Caller) -> AsyncGenerator[Message, None]:
                peer = context.peer()
                self._on_call(peer, 1)
                try:
                    async with aclosing(stream(await read(context), caller)) as messages:
                        async for message in messages:
                            yield message
                finally:
                    self._on_call(peer, -1)

            async def send(message: Message) -> None:
                try:
                    await context.write(message)
                except grpc.aio.InternalError:
                    # the call ended while this waited to be taken; its cancellation is on its way
                    raise asyncio.CancelledError from None

            call = _call(name, context, None, None)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            with self.under_way:
                try:
                    await self._boundary.stream(call, work, send)
                    return
                except ServiceError as error:
                    refusal = error
                # the status waits behind what the caller has not taken yet
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS_SECONDS):
                        await _refuse(context, refusal, call.request_id)

        return answer


async def unknown(_: object, context: Context) -> None:
    """Answers a call to a method that is not in this version of the contract."""
    sent_id = request_id(_metadata(context).get("x-request-id"))
    await _refuse(context, NotImplementedYet(), sent_id)


def _call(name: str, context: Context, default: float | None, most: float | None) -> Call:
    """What the headers say. A caller without a deadline has *default* seconds, others *most*."""
    metadata = _metadata(context)
    seconds: float | None = context.time_remaining()
    own_deadline = seconds is not None
    if seconds is None:
        seconds = default
    elif most is not None:
        seconds = min(seconds, most)
    elif seconds > MAX_STREAM_SECONDS:
        seconds = None  # grpc ends the stream then
    return Call(
        name,
        "grpc",
        metadata.get("x-api-key"),
        request_id(metadata.get("x-request-id")),
        SCOPES[name],
        seconds,
        own_deadline,
    )


async def _refuse(context: Context, refusal: ServiceError, sent_id: str) -> None:
    status = rich_status(refusal)
    trailing = [*status.trailing_metadata, ("x-request-id", sent_id)]
    if STATUS[type(refusal)].no_retry:
        trailing.append(("grpc-retry-pushback-ms", "-1"))
    await refuse(context, status.code, status.details, trailing)


def _metadata(context: Context) -> dict[str, str]:
    """The text entries; of a key that is there twice, what both say, which then fits nothing."""
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
