"""Echo: the servers that the service is compared with, each in its own process.

    python -m tests.bench.echo             a bare grpc.aio server on uvloop: bytes in, bytes out
    python -m tests.bench.echo guarded     an empty method behind the service's own boundary

Prints `ready grpc=HOST:PORT` when it takes calls, and ends when its standard input closes. The
second kind reads the service's settings from the environment.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, cast

import grpc
import grpc.aio
import uvloop

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from service.app.build import build
from service.domain.model import Caller
from service.runtime import log
from service.settings import Settings
from service.transport.grpc.server import GrpcServer
from service.transport.servicers import ProfileServicer, SessionServicer
from service.transport.webhooks import WebhookServicer

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
METHOD = ("bench.Echo", "Echo")


async def bare(stack: AsyncExitStack) -> int:
    async def echo(request: bytes, _: Any) -> bytes:
        return request

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers: dict[str, Handler] = {METHOD[1]: grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD[0], handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, 0)
    return port


class Empty:
    """ListPlatforms, with nothing to list."""

    async def ListPlatforms(  # noqa: N802 - named as in the contract
        self, request: platforms_pb.ListPlatformsRequest, caller: Caller
    ) -> platforms_pb.ListPlatformsResponse:
        return platforms_pb.ListPlatformsResponse()


async def guarded(stack: AsyncExitStack) -> int:
    settings = Settings.read()
    log.configure(settings.log_format, settings.log_level)
    built = await stack.enter_async_context(build(settings))
    server = GrpcServer(
        built.boundary,
        ProfileServicer(built.connect, built.links, built.profiles, built.health, built.watch),
        cast("Any", Empty()),
        SessionServicer(built.leases),
        WebhookServicer(built.webhooks),
        max_connections=settings.max_grpc_connections,
    )
    port = await server.start("127.0.0.1:0")
    stack.push_async_callback(server.stop, 0)
    return port


async def main(kind: str = "bare") -> None:
    async with AsyncExitStack() as stack:
        port = await {"bare": bare, "guarded": guarded}[kind](stack)
        print(f"ready grpc=127.0.0.1:{port}", flush=True)  # noqa: T201 - read by the parent process
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
