"""gRPC methods: run each method of the contract in the boundary, and send its status.

grpc calls a unary handler only after the request message has arrived, which may never happen. It
calls a streaming handler after the headers. Every method is therefore registered with a request
stream, so that the boundary checks the API key before it reads the message. The bytes on the wire
are the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from service.domain.errors import InvalidRequest, NotImplementedYet, ServiceError
from service.domain.model import Caller, Scope
from service.transport.auditing import grpc_peer, name_request
from service.transport.boundary import DEFAULT_SECONDS, Boundary, Call, request_id
from service.transport.grpc.decoding import undecodable
from service.transport.grpc.messages import (
    MESSAGE_SECONDS,
    Context,
    Handler,
    MessageLate,
    read_message,
    refuse,
)
from service.transport.servicers import SCOPES
from service.transport.status import STATUS, rich_status

MAX_SECONDS = 60.0
"""Maximum deadline of a unary call. A later deadline that the caller sets is reduced to it."""
MAX_STREAM_TIMER_SECONDS = 3600.0
"""If a stream has a later deadline, the boundary sets no timer; grpc alone ends the stream."""
STATUS_SECONDS = 1.0
"""Time to send the status of a stream whose caller does not read its messages."""

Read = Callable[["Context"], Awaitable[Message]]


class CallCounter:
    """Counts the calls inside its `with` blocks; *idle* is set while there are none."""

    def __init__(self) -> None:
        self._count = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self.idle.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self.idle.set()


class Methods:
    """Makes the grpc handlers of a servicer. Each handler runs its method in *boundary*.

    *on_call* is called for each admitted call, with its peer and the change in the number of the
    peer's streams: 1 when a stream starts, -1 when it ends, 0 for a unary call.
    """

    def __init__(self, boundary: Boundary, on_call: Callable[[str, int], None]) -> None:
        self._boundary = boundary
        self._on_call = on_call
        self.in_progress = CallCounter()

    def handlers(self, service: ServiceDescriptor, servicer: object) -> dict[str, Handler]:
        """Return the handlers of *service*, by method; *servicer* has a method of each name."""
        return {method.name: self._handler(method, servicer) for method in service.methods}

    def _handler(self, method: MethodDescriptor, servicer: object) -> Handler:
        read = _reader(method)
        behaviour = getattr(servicer, method.name)
        serialize = GetMessageClass(method.output_type).SerializeToString
        if method.server_streaming:
            stream = self._stream(method.name, read, behaviour)
            return grpc.stream_stream_rpc_method_handler(stream, None, serialize)
        unary = self._unary(method.name, read, behaviour)
        return grpc.stream_unary_rpc_method_handler(unary, None, serialize)

    def _unary(
        self, name: str, read: Read, behaviour: Callable[[Message, Caller], Awaitable[Message]]
    ) -> Any:
        async def answer(_: object, context: Context) -> Message | None:
            async def work(caller: Caller) -> Message:
                self._on_call(context.peer(), 0)
                message = await read(context)
                name_request(message)
                return await behaviour(message, caller)

            call = _call(name, context, DEFAULT_SECONDS, MAX_SECONDS)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            with self.in_progress:
                try:
                    return await self._boundary.run(call, work)
                except ServiceError as error:
                    refusal = error
                await _refuse(context, refusal, call.request_id)
                return None

        return answer

    def _stream(
        self,
        name: str,
        read: Read,
        behaviour: Callable[[Message, Caller], AsyncGenerator[Message, None]],
    ) -> Any:
        async def answer(_: object, context: Context) -> None:
            async def work(caller: Caller) -> AsyncGenerator[Message, None]:
                peer = context.peer()
                self._on_call(peer, 1)
                try:
                    async with aclosing(behaviour(await read(context), caller)) as messages:
                        async for message in messages:
                            yield message
                finally:
                    self._on_call(peer, -1)

            async def send(message: Message) -> None:
                try:
                    await context.write(message)
                except grpc.aio.InternalError:
                    # the call ended while this waited for flow control; its cancellation follows
                    raise asyncio.CancelledError from None

            call = _call(name, context, None, None)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            with self.in_progress:
                try:
                    await self._boundary.stream(call, work, send)
                    return
                except ServiceError as error:
                    refusal = error
                with suppress(TimeoutError):
                    async with asyncio.timeout(STATUS_SECONDS):
                        await _refuse(context, refusal, call.request_id)

        return answer


def unknown(count: Callable[[], None]) -> Callable[[object, Context], Awaitable[None]]:
    """Return what rejects a call of a method that is not in this version of the contract."""

    async def reject(_: object, context: Context) -> None:
        count()
        sent_id = request_id(_metadata(context).get("x-request-id"))
        await _refuse(context, NotImplementedYet(), sent_id)

    return reject


def _reader(method: MethodDescriptor) -> Read:
    """Return what reads and decodes the request of *method*. It raises InvalidRequest."""
    decode = GetMessageClass(method.input_type).FromString

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
            raise undecodable(encoded, method.input_type) from None

    return read


def _call(
    name: str, context: Context, default_seconds: float | None, max_seconds: float | None
) -> Call:
    """Return the call that the headers describe."""
    metadata = _metadata(context)
    seconds: float | None = context.time_remaining()
    has_own_deadline = seconds is not None
    if seconds is None:
        seconds = default_seconds
    elif max_seconds is not None:
        seconds = min(seconds, max_seconds)
    elif seconds > MAX_STREAM_TIMER_SECONDS:
        seconds = None
    return Call(
        name,
        "grpc",
        metadata.get("x-api-key"),
        request_id(metadata.get("x-request-id")),
        SCOPES[name],
        seconds,
        has_own_deadline,
        metadata,
        peer="" if SCOPES[name] is Scope.PROFILES_READ else grpc_peer(context),
    )


async def _refuse(context: Context, refusal: ServiceError, sent_id: str) -> None:
    status = rich_status(refusal)
    trailing = [*status.trailing_metadata, ("x-request-id", sent_id)]
    if STATUS[type(refusal)].no_retry:
        trailing.append(("grpc-retry-pushback-ms", "-1"))
    await refuse(context, status.code, status.details, trailing)


def _metadata(context: Context) -> dict[str, str]:
    """Return the text entries. A repeated key has its values joined, so that none of them is
    accepted alone."""
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
