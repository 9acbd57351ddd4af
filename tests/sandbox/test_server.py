"""SandboxServer: runs in the caller's event loop, and leaves nothing behind after `stop`."""

import asyncio
import logging
import signal
import statistics
import time

import pytest

from service.sandbox.server import SandboxServer
from service.sandbox.world import World, plant

from .caller import Caller, client


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "8.8.8.8", "example.com", ""])
async def test_only_loopback_is_served(host: str) -> None:
    """Accounts with published passwords are for this machine alone."""
    with pytest.raises(ValueError, match=r"loopback|address"):
        await SandboxServer(World()).start(host)


async def test_a_free_port_is_picked(server: SandboxServer) -> None:
    """Port 0 means any; the origin says which."""
    assert server.port > 0
    assert server.origin == f"http://127.0.0.1:{server.port}"


async def test_a_taken_port_is_an_error(server: SandboxServer) -> None:
    """The process lives on, with an OSError."""
    with pytest.raises(OSError, match="in use"):
        await SandboxServer(World()).start(port=server.port)


async def test_a_stopped_server_starts_again_on_its_port(world: World) -> None:
    """Stop and start leave the port free and the world unchanged; the counts restart."""
    server = SandboxServer(world)
    await server.start()
    port = server.port
    async with client(server.origin) as http:
        session = await Caller(http).session("user.bsky.social")
    await server.stop()

    await server.start(port=port)
    async with client(server.origin) as http:
        assert (await Caller(http).refresh(session)).status_code == 200
    assert list(server.counts) == ["/xrpc/com.atproto.server.refreshSession"]
    await server.stop()


async def test_starting_twice_and_asking_before_the_start_are_errors(world: World) -> None:
    """There is one origin at a time; stopping twice is harmless."""
    server = SandboxServer(world)
    with pytest.raises(RuntimeError):
        _ = server.origin
    await server.start()
    with pytest.raises(RuntimeError):
        await server.start()
    await server.stop()
    await server.stop()


async def test_one_connection_carries_many_calls(server: SandboxServer) -> None:
    """Connections are kept alive between calls."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(3):
        writer.write(b"GET /xrpc/_health HTTP/1.1\r\nhost: sandbox\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\ndate: " in head
        assert await reader.readexactly(len(b'{"version":"sandbox"}')) == b'{"version":"sandbox"}'
    writer.close()


async def test_an_answer_comes_at_once(server: SandboxServer) -> None:
    """No call waits for the 40 ms that a delayed acknowledgement takes."""
    async with client(server.origin) as http:
        took: list[float] = []
        for _ in range(21):
            began = time.monotonic()
            await http.get("/xrpc/_health")
            took.append(time.monotonic() - began)
    assert statistics.median(took) < 0.035


async def test_stopping_leaves_nothing_behind_and_does_not_wait() -> None:
    """Idle connections are closed, calls under way are cut off, and no task remains."""
    before = asyncio.all_tasks()
    server = SandboxServer(plant(World(login_wait=60)))
    await server.start()
    idle, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with client(server.origin) as http:
        call = asyncio.create_task(Caller(http).log_in("user.bsky.social"))
        async with asyncio.timeout(5):
            while not server.counts:
                await asyncio.sleep(0)

        began = time.monotonic()
        await server.stop()
        took = time.monotonic() - began

        assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], Exception)
    assert took < 5
    assert await idle.read() == b""
    writer.close()
    assert asyncio.all_tasks() == before


async def test_the_process_is_left_as_it_was(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """No signal handler, no logger and no output betrays a start, a call and a stop."""
    caplog.set_level(logging.INFO)
    signals = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    access = logging.getLogger("uvicorn.access")
    loggers = (access.handlers, access.propagate, access.level)

    server = SandboxServer(world)
    await server.start()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == signals
    async with client(server.origin) as http:
        await Caller(http).log_in("user.bsky.social")
    await server.stop()

    assert (access.handlers, access.propagate, access.level) == loggers
    assert not [each for each in caplog.records if each.name.startswith("uvicorn")]
    assert capfd.readouterr() == ("", "")


async def test_a_disconnect_is_not_logged(
    server: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that never comes to its end is dropped with its connection, in silence."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nhost: sandbox\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        while not server.counts:
            await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    async with client(server.origin) as http:
        await http.get("/xrpc/_health")

    assert caplog.records == []
