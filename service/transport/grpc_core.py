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

from service.transport.messages import Handler

UNKNOWN = "unknown"


class _Always:
    """Resolves every method to one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def resolve_handler(self, _: object) -> Handler:
        return self._handler


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Sequence[tuple[str, int]],
        max_calls: int,
        unknown: Handler,
    ) -> None:
        super().__init__(loop, None, (), None, tuple(options), max_calls)
        self._own_loop = loop
        self._resolver = _Always(unknown)
        self._tasks: set[asyncio.Task[None]] = set()

    async def _request_call(self) -> None:
        """Answer the next call to a method that is not registered; then ask for another."""
        state = await super()._request_call()
        loop = self._own_loop
        answer = cygrpc._handle_rpc(UNKNOWN, self._resolver, (), state, loop, False)
        task = loop.create_task(cygrpc._schedule_rpc_coro(answer, state, loop, UNKNOWN))
        self._tasks.add(task)  # the loop holds no reference of its own
        task.add_done_callback(self._tasks.discard)
        # the server takes this for a call that was not to be had, and asks for the next one
        raise cygrpc._RequestCallError


class Server(_server.Server):
    """A grpc.aio server with at most *max_calls* under way. *unknown* answers all calls to methods
    that are not registered."""

    def __init__(
        self, options: Sequence[tuple[str, int]], max_calls: int, unknown: Handler
    ) -> None:
        # not super's, which makes the server that ends
        self._loop = cygrpc.get_working_loop()
        self._server: Any = _Core(self._loop, options, max_calls, unknown)
