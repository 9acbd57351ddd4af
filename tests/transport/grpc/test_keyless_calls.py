"""Calls without a key over gRPC, to `postcore serve` as it ships: others are not affected."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from service.transport.grpc.keyless import MAX_CHECKS, MAX_WATCHES_PER_CONNECTION
from tests.attack.frames import Connection, call
from tests.bench.methods import GET, PLATFORMS, request
from tests.bench.processes import started
from tests.bench.seed import Owner, plant, settings
from tests.support.running import refusal_of

pytestmark = pytest.mark.process

CHECK, LIST, WATCH = (f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch"))
ALONE = [("grpc.use_local_subchannel_pool", 1)]
SECONDS = 20.0


@dataclass
class Served:
    """A service in its own process, and its log."""

    address: str
    owner: Owner
    channel: grpc.aio.Channel
    log: Path

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", self.owner.keys[0]),)

    async def get(self) -> bytes:
        """Return the reply to a valid call."""
        profile = next(iter(self.owner.tokens))
        raw: Any = self.channel.unary_unary(GET)
        encoded = request(GET, profile).SerializeToString()
        reply: bytes = await raw(encoded, metadata=self.metadata, timeout=SECONDS)
        return reply

    def lines(self, level: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in found if line["level"] == level]


@asynccontextmanager
async def served(folder: Path, **more: str) -> AsyncIterator[Served]:
    read = settings(folder, f"sqlite:///{folder / 'postcore.db'}", more)
    [owner] = await plant(read, 1, 1)
    async with (
        started(("service", "serve"), read, "", folder / "log") as server,
        grpc.aio.insecure_channel(server.address, ALONE) as channel,
    ):
        yield Served(server.address, owner, channel, folder / "log")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


async def until(true: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_path_that_is_not_utf_8_does_not_stop_the_server(service: Served) -> None:
    """Every such call is answered, and the server continues; grpc.aio's own loop would stop."""
    connection = await Connection.to(service.address)
    paths = (b"/\xff\xfe", b"\xc3\x28", b"/a/b\0c", b"*", b"/", b"/" + b"\xff" * 6000)
    for path in paths:
        await connection.send(call(connection.stream(), path, b""))
    await until(lambda: connection.ended == len(paths))
    assert await service.get()
    assert service.lines("error") == []
    connection.close()


async def test_a_call_without_a_valid_key_is_rejected_before_its_message(service: Served) -> None:
    """The status is sent at once, although the message never arrives."""
    for metadata, reason in (
        ((), "MISSING_API_KEY"),
        ((("x-api-key", "pc_live_nonsense"),), "INVALID_API_KEY"),
    ):
        for method in (GET, PLATFORMS, "/postcore.profiles.v1.ProfileService/WatchConnections"):
            raw: Any = service.channel.stream_stream(method)
            silent = raw(metadata=metadata, timeout=SECONDS)
            began = monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await silent.read()
            assert refusal_of(caught.value).reason == reason
            assert monotonic() - began < SECONDS / 4


async def test_three_thousand_silent_calls_use_no_slots(service: Served) -> None:
    """They are sent on one connection, without a key and to health and reflection. Other calls
    succeed."""
    connection = await Connection.to(service.address)
    methods = [GET.encode(), CHECK.encode(), WATCH.encode()]
    for number in range(3000):
        await connection.send(call(connection.stream(), methods[number % 3]))
    for _ in range(20):
        assert await service.get()
    async with grpc.aio.insecure_channel(service.address, ALONE) as fresh:
        stub = health_pb2_grpc.HealthStub(fresh)
        reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    events = [line["event"] for line in service.lines("warning")]
    assert events == ["calls rejected at a limit"]
    connection.close()


async def test_unknown_methods_are_unimplemented(service: Served) -> None:
    """UNIMPLEMENTED has NOT_IMPLEMENTED in its ErrorInfo, and comes at once without a key."""
    for method in (
        "/postcore.profiles.v1.ProfileService/NoSuch",
        "/postcore.profiles.v2.ProfileService/GetProfile",
        "/other.Service/Method",
    ):
        raw: Any = service.channel.unary_unary(method)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(b"", metadata=(("x-request-id", "abc-1"),), timeout=SECONDS)
        refusal = refusal_of(caught.value)
        assert refusal.code is grpc.StatusCode.UNIMPLEMENTED
        assert refusal.reason == "NOT_IMPLEMENTED"
        assert refusal.trailers["x-request-id"] == "abc-1"


async def test_metadata_has_one_limit(service: Served) -> None:
    """Metadata of one size is always accepted or always rejected."""
    raw: Any = service.channel.unary_unary(PLATFORMS)
    for size, expected in ((7000, "OK"), (8000, "RESOURCE_EXHAUSTED"), (20_000, None)):
        long = (*service.metadata, ("x-long", "x" * size))
        codes = Counter(
            [(await raw(b"", metadata=long, timeout=SECONDS).code()).name for _ in range(40)]
        )
        assert len(codes) == 1
        assert expected is None or expected in codes
        assert (size < 8000) == ("OK" in codes)


@pytest.mark.quick
async def test_health_knows_its_services_and_logs_no_error(service: Served) -> None:
    """Check and List know every name. Unknown names and malformed messages are rejected, and
    nothing is logged at level error."""
    names = {
        "",
        *(
            f"postcore.profiles.v1.{name}Service"
            for name in ("Profile", "Platform", "Session", "Webhook")
        ),
    }
    stub = health_pb2_grpc.HealthStub(service.channel)
    for name in names:
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    listed = await stub.List(health_pb2.HealthListRequest(), timeout=SECONDS)
    assert set(listed.statuses) == names
    for method in (CHECK, LIST, WATCH):
        raw: Any = service.channel.stream_stream(method)
        nonsense = [b"\xff\xff", b"\x0a\x80\x10" + b"x" * 2048]
        # a request for the list has no name in it
        named = [] if method == LIST else [b"\x0a\x02\xc3\x28", b"\x0a\x03abc"]
        for sent in (*nonsense, *named):
            stream = raw(timeout=SECONDS)
            await stream.write(sent)
            await stream.done_writing()
            expected = "NOT_FOUND" if sent.endswith(b"abc") else "INVALID_ARGUMENT"
            assert (await stream.code()).name == expected, (method, sent)
        silent = raw(timeout=SECONDS)
        await silent.done_writing()
        assert (await silent.code()) is grpc.StatusCode.INVALID_ARGUMENT
    assert service.lines("error") == []
    assert service.lines("critical") == []


async def test_health_watches_are_limited_per_connection(service: Served) -> None:
    """More are rejected; another connection has its own limit."""
    raw: Any = service.channel.unary_stream(WATCH)
    watches = [raw(b"") for _ in range(MAX_WATCHES_PER_CONNECTION)]
    for watch in watches:
        assert await watch.read() == b"\x08\x01"
    assert (await raw(b"").code()) is grpc.StatusCode.RESOURCE_EXHAUSTED
    async with grpc.aio.insecure_channel(service.address, ALONE) as other:
        theirs: Any = other.unary_stream(WATCH)
        assert await theirs(b"").read() == b"\x08\x01"
    watches[0].cancel()
    async with asyncio.timeout(SECONDS):
        while (again := raw(b"")) and await again.read() != b"\x08\x01":
            pass


async def test_waiting_checks_are_evicted(service: Served) -> None:
    """The oldest check of the connection with the most checks is ended."""
    raw: Any = service.channel.stream_unary(CHECK)
    silent = [raw(timeout=SECONDS) for _ in range(MAX_CHECKS + 20)]
    async with grpc.aio.insecure_channel(service.address, ALONE) as other:
        check: Any = other.unary_unary(CHECK)
        for _ in range(20):
            assert await check(b"", timeout=SECONDS) == b"\x08\x01"
    ended = [one for one in silent if one.done()]
    assert len(ended) >= 20
    assert {await one.code() for one in ended} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    for one in silent:
        one.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_answers_in_both_versions(service: Served, version: str) -> None:
    """Both list the same services. Malformed messages are rejected without an error in the log."""
    method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    raw: Any = service.channel.stream_stream(method)
    stream = raw(timeout=SECONDS)
    ask = reflection_pb2.ServerReflectionRequest
    await stream.write(ask(list_services="").SerializeToString())
    reply = reflection_pb2.ServerReflectionResponse.FromString(await stream.read())
    names = {one.name for one in reply.list_services_response.service}
    assert {
        "postcore.profiles.v1.ProfileService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    } <= names
    await stream.write(b"\xff\xff")
    assert (await stream.code()) is grpc.StatusCode.INVALID_ARGUMENT
    assert service.lines("error") == []


async def test_idle_connections_are_closed(tmp_path: Path) -> None:
    """At the limit the oldest connections without a valid key are closed. A connection in use and a
    new caller are served."""
    async with served(tmp_path, MAX_GRPC_CONNECTIONS="60") as service:
        assert await service.get()
        silent = []
        for _ in range(150):
            silent.append(await Connection.to(service.address))
            await asyncio.sleep(0.01)
        await until(lambda: sum(one.is_closed for one in silent) >= 150 - 60)
        for _ in range(5):
            assert await service.get()
        async with grpc.aio.insecure_channel(service.address, ALONE) as fresh:
            stub = health_pb2_grpc.HealthStub(fresh)
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS, wait_for_ready=True)
        assert silent[0].is_closed
        events = {line["event"] for line in service.lines("warning")}
        assert "gRPC connections closed at the limit" in events
        for one in silent:
            one.close()
