"""The service config for callers: which calls their gRPC retries automatically."""

import asyncio
from collections import Counter
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from service.sandbox.faults import AnyStatus
from service.transport.servicers import SERVICES
from tests.support.bluesky import CREATE, SandboxBluesky
from tests.support.fleet import CONFIG
from tests.support.running import Running, refusal_of

Call: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
OPTIONS = (("grpc.service_config", CONFIG),)
GET = ("postcore.profiles.v1.ProfileService", "GetProfile")
IN_A_ROW = 20
TRIED_AGAIN = {"GetProfile", "ListProfiles", "ListPlatforms", "LeaseSession"}


@pytest.mark.slow
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_only_free_calls_are_retried(code: grpc.StatusCode) -> None:
    """At a server that is away or stops, four methods are tried four times, all others once."""
    tries: Counter[str] = Counter()

    def refusing(method: str) -> Handler:
        async def refuse(_: bytes, context: Any) -> None:
            tries[method] += 1
            await context.abort(code)

        return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.aio.server()
    for service in SERVICES:
        handlers = {method.name: refusing(method.name) for method in service.methods}
        generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
        server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    methods = [
        (service.full_name, method.name) for service in SERVICES for method in service.methods
    ]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", OPTIONS) as channel:
        for service_name, method in methods:
            call: Call = channel.unary_unary(f"/{service_name}/{method}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", timeout=60)
            assert caught.value.code() is code
    await server.stop(0)
    assert tries == {method: 4 if method in TRIED_AGAIN else 1 for _, method in methods}


async def test_a_connect_spends_one_login(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """A caller with this config makes one login at an unavailable platform."""
    person = await sandbox.person()
    async with grpc.aio.insecure_channel(sandboxed.address, OPTIONS) as channel:
        caller = Running(sandboxed.settings, "", channel, sandboxed.tenant_id, sandboxed.api_key)
        sandbox.server.breakages.add(AnyStatus(503), method="createSession")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.connect(person.handle, person.app_password)
    assert refusal_of(caught.value).reason == "PLATFORM_UNAVAILABLE"
    assert (await sandbox.counts())[CREATE] == 1


async def test_a_server_that_is_not_serving_gets_no_calls() -> None:
    """Calls alternate between two servers, and then use only the other, long before the first
    stops."""
    answered: Counter[int] = Counter()
    word, ports, servers = health.aio.HealthServicer(), [], []

    def counting(number: int) -> Handler:
        async def answer(request: bytes, _: Any) -> bytes:
            answered[number] += 1
            return request

        return grpc.unary_unary_rpc_method_handler(answer)

    for number in range(2):
        server = grpc.aio.server()
        generic = grpc.method_handlers_generic_handler(GET[0], {GET[1]: counting(number)})
        server.add_generic_rpc_handlers((generic,))
        if number == 0:
            health_pb2_grpc.add_HealthServicer_to_server(word, server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        servers.append(server)
        await server.start()
    await word.set("", health_pb2.HealthCheckResponse.SERVING)
    both = ",".join(f"127.0.0.1:{port}" for port in ports)
    async with asyncio.timeout(30), grpc.aio.insecure_channel(f"ipv4:{both}", OPTIONS) as channel:
        call: Call = channel.unary_unary("/" + "/".join(GET))
        while not answered[0] or not answered[1]:
            await call(b"")
        await word.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        before = Counter(answered)
        while answered[1] < before[1] + IN_A_ROW:
            if answered[0] > before[0]:  # the word was still on its way
                before = Counter(answered)
            await call(b"")
    for server in servers:
        await server.stop(0)
