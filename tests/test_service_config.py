"""The service config that callers are given: what their gRPC tries again by itself."""

from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest

from service.sandbox.faults import AnyStatus
from service.transport.servicers import SERVICES
from tests.bluesky import CREATE, SandboxBluesky
from tests.running import Running, refusal_of

Call: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
CONFIG = (Path(__file__).parent.parent / "protos/service_config.json").read_text()
OPTIONS = (("grpc.service_config", CONFIG),)
TRIED_AGAIN = {"GetProfile", "ListProfiles", "ListPlatforms", "LeaseSession"}


async def test_only_what_costs_nothing_is_tried_again() -> None:
    """Of all methods, at a server that is not available: four are tried four times, the others
    once."""
    tries: Counter[str] = Counter()

    def refusing(method: str) -> Handler:
        async def refuse(_: bytes, context: Any) -> None:
            tries[method] += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE)

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
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await server.stop(0)
    assert tries == {method: 4 if method in TRIED_AGAIN else 1 for _, method in methods}


async def test_a_connect_spends_one_login(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """Counted at a platform that is not available, by a caller with that config."""
    person = await sandbox.person()
    async with grpc.aio.insecure_channel(sandboxed.address, OPTIONS) as channel:
        caller = Running(sandboxed.settings, "", channel, sandboxed.tenant_id, sandboxed.api_key)
        sandbox.server.breakages.add(AnyStatus(503), method="createSession")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.connect(person.handle, person.app_password)
    assert refusal_of(caught.value).reason == "PLATFORM_UNAVAILABLE"
    assert (await sandbox.counts())[CREATE] == 1
