"""Methods without an API key: health and reflection, with small limits and deadlines of their own.

They never use the slots of calls that have a key. At a limit the oldest call of the connection
with the most calls is ended, so that a flood evicts its own calls.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from service.domain.errors import RateLimitExceeded
from service.transport.admission import rejection_log
from service.transport.deadline import Deadline
from service.transport.grpc.messages import Context, Handler, MessageLate, read_message, refuse

REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
"""Its messages equal those of v1alpha on the wire; only the package differs."""
MAX_CHECKS = 200
"""Concurrent health checks; nearly all of them wait for their message."""
MAX_WATCHES, MAX_WATCHES_PER_CONNECTION = 500, 8
MAX_REFLECTIONS = 32
REFLECTION_SECONDS = 60.0
MAX_NAME_BYTES = 256
"""Maximum size of a health request, which holds the name of a service."""

Code = grpc.StatusCode


class KeylessSlots:
    """Slots for at most *limit* calls. At the limit the oldest call of the busiest connection is
    ended."""

    def __init__(self, kind: str, limit: int) -> None:
        self._kind = kind
        self._limit = limit
        self._by_peer: dict[str, dict[Deadline, None]] = {}
        self._count = 0

    @contextmanager
    def hold(self, peer: str, deadline: Deadline) -> Iterator[None]:
        """Hold a slot for a call of the connection *peer* during the block."""
        if self._count >= self._limit:
            busiest = max(self._by_peer, key=lambda other: len(self._by_peer[other]))
            oldest = next(iter(self._by_peer[busiest]))
            self._release(busiest, oldest)
            oldest.end(RateLimitExceeded(1))
            rejection_log.warning("calls rejected at a limit", kind=self._kind, limit="keyless")
        self._by_peer.setdefault(peer, {})[deadline] = None
        self._count += 1
        try:
            yield
        finally:
            self._release(peer, deadline)

    def _release(self, peer: str, deadline: Deadline) -> None:
        of_peer = self._by_peer.get(peer, {})
        if deadline in of_peer:
            del of_peer[deadline]
            self._count -= 1
            if not of_peer:
                del self._by_peer[peer]


class Health:
    """grpc.health.v1.Health: one status for the server and for every service of *names*."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(("", *names))
        self._is_serving = True
        self._changed = asyncio.Event()
        self._checks = KeylessSlots("health check", MAX_CHECKS)
        self._watches: dict[str, int] = {}

    def set_serving(self, serving: bool) -> None:
        """Set the status to SERVING or NOT_SERVING, and send it to all watches."""
        if serving != self._is_serving:
            self._is_serving = serving
            self._changed.set()
            self._changed = asyncio.Event()

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by method, to be registered as `health.SERVICE_NAME`."""
        return {
            "Check": grpc.stream_unary_rpc_method_handler(self._check),
            "List": grpc.stream_unary_rpc_method_handler(self._list),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch),
        }

    async def _check(self, _: object, context: Context) -> bytes:
        await self._name(context, health_pb2.HealthCheckRequest)
        return bytes(self._status().SerializeToString())

    async def _list(self, _: object, context: Context) -> bytes:
        await self._name(context, health_pb2.HealthListRequest)
        statuses = dict.fromkeys(self._names, self._status())
        return bytes(health_pb2.HealthListResponse(statuses=statuses).SerializeToString())

    async def _watch(self, _: object, context: Context) -> None:
        peer = context.peer()
        if self._watches.get(peer, 0) >= MAX_WATCHES_PER_CONNECTION:
            await refuse(context, Code.RESOURCE_EXHAUSTED, "too many watches on this connection")
        if sum(self._watches.values()) >= MAX_WATCHES:
            rejection_log.warning("calls rejected at a limit", kind="health watch", limit="keyless")
            # a client treats UNIMPLEMENTED as healthy and calls the server (gRFC A17); after any
            # other status it would not
            await refuse(context, Code.UNIMPLEMENTED, "too many watches")
        self._watches[peer] = self._watches.get(peer, 0) + 1
        try:
            await self._name(context, health_pb2.HealthCheckRequest)
            while True:
                changed = self._changed
                with suppress(grpc.aio.InternalError):  # the call ended in the meantime
                    await context.write(self._status().SerializeToString())
                await changed.wait()
        finally:
            self._watches[peer] -= 1
            if not self._watches[peer]:
                del self._watches[peer]

    async def _name(self, context: Context, kind: type[Any]) -> None:
        """Read the request, of *kind*; reject it unless it names a service of this server."""
        encoded = await self._message(context)
        if encoded is None or len(encoded) > MAX_NAME_BYTES:
            await refuse(context, Code.INVALID_ARGUMENT, "the message is missing or too long")
        try:
            name = getattr(kind.FromString(encoded), "service", "")
        except DecodeError:
            await refuse(context, Code.INVALID_ARGUMENT, "the message cannot be decoded")
        if name not in self._names:
            await refuse(context, Code.NOT_FOUND, "unknown service")

    async def _message(self, context: Context) -> bytes | None:
        deadline = Deadline()
        try:
            with deadline, self._checks.hold(context.peer(), deadline):
                return await read_message(context)
        except MessageLate:
            refusal = Code.DEADLINE_EXCEEDED, "the message did not arrive"
        except TimeoutError:
            refusal = Code.RESOURCE_EXHAUSTED, "too many health checks"
        return await refuse(context, *refusal)

    def _status(self) -> health_pb2.HealthCheckResponse:
        response = health_pb2.HealthCheckResponse
        return response(status=response.SERVING if self._is_serving else response.NOT_SERVING)


class Reflection:
    """grpc.reflection, v1 and v1alpha, for tools such as grpcurl."""

    def __init__(self, names: tuple[str, ...], pool: Any) -> None:
        served = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME, REFLECTION_V1)
        self._servicer = reflection.aio.ReflectionServicer(served, pool)
        self._slots = KeylessSlots("reflection", MAX_REFLECTIONS)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by method, to be registered as either version."""
        return {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._answer)}

    async def _answer(self, _: object, context: Context) -> None:
        deadline = Deadline(asyncio.get_running_loop().time() + REFLECTION_SECONDS)
        try:
            with deadline, self._slots.hold(context.peer(), deadline):
                replies: AsyncGenerator[Any, None] = self._servicer.ServerReflectionInfo(
                    _requests(context), context
                )
                async with aclosing(replies):
                    async for reply in replies:
                        await context.write(reply.SerializeToString())
                return
        except DecodeError:
            refusal = Code.INVALID_ARGUMENT, "the message cannot be decoded"
        except MessageLate:
            refusal = Code.DEADLINE_EXCEEDED, "the next message did not arrive"
        except TimeoutError:
            refusal = Code.RESOURCE_EXHAUSTED, "too many reflection calls"
        except grpc.aio.InternalError:
            return  # the call ended in the meantime
        await refuse(context, *refusal)


async def _requests(context: Context) -> AsyncIterator[Any]:
    while (encoded := await read_message(context)) is not None:
        yield reflection_pb2.ServerReflectionRequest.FromString(encoded)
