"""The server of grpc.aio, but for calls to methods that it does not know.

grpc.aio (1.85) decodes the path of such a call as UTF-8, outside of any guard: one call with a
byte that is not UTF-8, and no key, ends the whole server. Here these calls are answered before
that. Their paths are never decoded, since grpc offers no safe way to read them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from grpc._cython import cygrpc
from grpc.aio import _server

from service.transport.grpc.messages import Handler

UNKNOWN = "unknown"
REQUESTED_AT_ONCE = 32
"""Calls of one method that grpc may hand over together."""


class _Always:
    """Resolves every method to one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def resolve_handler(self, _: object) -> Handler:
        return self._handler


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    """Takes its calls method by method. grpc.aio's own loop waits for all methods anew with each
    call, and takes one call of a method at a time."""

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
        """Answer all calls of *method*, until the server stops: that is raised."""
        await asyncio.gather(*(self._registered_calls(method) for _ in range(REQUESTED_AT_ONCE)))

    async def _registered_calls(self, method: bytes) -> None:
        name, resolver = method.decode(), self._registered[method]
        while True:
            self._answer(await super()._request_registered_call(method), name, resolver)

    async def _request_call(self) -> None:
        """The same for all methods that are not registered."""
        while True:
            self._answer(await super()._request_call(), UNKNOWN, self._unknown)

    def _answer(self, state: Any, name: str, resolver: _Always) -> None:
        loop = self._own_loop
        answer = cygrpc._handle_rpc(name, resolver, (), state, loop, False)
        task = loop.create_task(cygrpc._schedule_rpc_coro(answer, state, loop, name))
        self._tasks.add(task)  # the loop holds no reference of its own
        task.add_done_callback(self._tasks.discard)


class Server(_server.Server):
    """A grpc.aio server. *unknown* answers all calls to methods that are not registered."""

    def __init__(self, options: Sequence[tuple[str, int]], unknown: Handler) -> None:
        # not super's, which makes the server that ends
        self._loop = cygrpc.get_working_loop()
        self._server: Any = _Core(self._loop, options, unknown)
