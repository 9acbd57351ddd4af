"""The server of grpc.aio with another loop that accepts calls.

grpc.aio (1.85) decodes the path of a call to an unknown method as UTF-8 without handling errors:
one such call, without a key, stops the whole server. Here these calls are answered without decoding
the path, since grpc offers no safe way to read it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from grpc._cython import cygrpc
from grpc.aio import _server

from service.transport.grpc.messages import Handler

UNKNOWN = "unknown"
REQUESTS_PER_METHOD = 32
"""Calls of one method that grpc may deliver at once."""


class _Always:
    """Resolves every method to one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def resolve_handler(self, _: object) -> Handler:
        return self._handler


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    """Requests calls in one loop per method. grpc.aio's own loop waits for all methods again after
    each call, and accepts one call of a method at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: Sequence[tuple[str, int]], unknown: Handler
    ) -> None:
        super().__init__(loop, None, (), None, tuple(options), None)
        self._own_loop = loop
        self._unknown = _Always(unknown)
        self._registered: dict[bytes, _Always] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add_registered_method_handlers(self, method_handlers: dict[str, Handler]) -> None:
        super().add_registered_method_handlers(method_handlers)
        for name, handler in method_handlers.items():
            self._registered[name.encode()] = _Always(handler)

    async def _request_registered_call(self, method: bytes) -> None:
        """Answer the calls of *method* until the server stops, which raises."""
        await asyncio.gather(*(self._registered_calls(method) for _ in range(REQUESTS_PER_METHOD)))

    async def _registered_calls(self, method: bytes) -> None:
        name, resolver = method.decode(), self._registered[method]
        while True:
            self._answer(await super()._request_registered_call(method), name, resolver)

    async def _request_call(self) -> None:
        """Answer the calls of methods that are not registered."""
        while True:
            self._answer(await super()._request_call(), UNKNOWN, self._unknown)

    def _answer(self, state: Any, name: str, resolver: _Always) -> None:
        loop = self._own_loop
        answer = cygrpc._handle_rpc(name, resolver, (), state, loop, False)
        task = loop.create_task(cygrpc._schedule_rpc_coro(answer, state, loop, name))
        self._tasks.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(self._tasks.discard)


class Server(_server.Server):
    """A grpc.aio server; *unknown* answers the calls of methods that are not registered."""

    def __init__(self, options: Sequence[tuple[str, int]], unknown: Handler) -> None:
        # without super().__init__(), which would create grpc's own core
        self._loop = cygrpc.get_working_loop()
        self._server: Any = _Core(self._loop, options, unknown)
