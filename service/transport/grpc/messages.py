"""Messages of gRPC calls: read with a time limit; and statuses that reject a call."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio

from service.transport.deadline import Deadline

MESSAGE_SECONDS = 10.0
"""Time limit for the message of a call, or for the next message of a stream."""

# quoted: these classes are generic only for the type checker
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class MessageLate(Exception):
    """A message did not arrive within MESSAGE_SECONDS."""


async def read_message(context: Context) -> bytes | None:
    """Return the next message of a call, encoded; None at the end of the stream. Raise MessageLate.

    The result is also None for a call that grpc itself rejected, such as one whose message is too
    long.
    """
    deadline = Deadline(asyncio.get_running_loop().time() + MESSAGE_SECONDS)
    try:
        with deadline:
            message: Any = await context.read()
    except TimeoutError:
        if deadline.expired:
            raise MessageLate from None
        raise
    return None if message is grpc.aio.EOF else bytes(message)


async def refuse(
    context: Context,
    code: grpc.StatusCode,
    details: str,
    trailing_metadata: Sequence[tuple[str, str | bytes]] = (),
) -> NoReturn:
    """End the call with a status. Always raise, to end the handler; the call may have ended
    before."""
    with suppress(grpc.aio.InternalError):
        await context.abort(code, details, tuple(trailing_metadata))
    raise asyncio.CancelledError
