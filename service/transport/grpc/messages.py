"""Messages of gRPC calls: read after the headers were judged, and within their time; refusals."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio

from service.transport.deadline import Deadline

MESSAGE_SECONDS = 10.0
"""In which the message of a call, or the next one of a stream, has to arrive."""

# as text: these are generic to the type checker alone
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class MessageLate(Exception):
    """A message that did not arrive within MESSAGE_SECONDS."""


async def read_message(context: Context) -> bytes | None:
    """The next message of a call, encoded; None at the end of the stream. Raises MessageLate.

    A call that grpc itself has refused, such as one with a message that is too long, ends so too.
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
    """End the call with a status. Raises what ends the handler, also if the call is over by now."""
    with suppress(grpc.aio.InternalError):
        await context.abort(code, details, tuple(trailing_metadata))
    raise asyncio.CancelledError
