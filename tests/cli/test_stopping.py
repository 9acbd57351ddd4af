"""Stopping: a drain completes calls under way, and a killed server can start again."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from service.app.serving import serving
from tests.cli.calls import health, list_platforms
from tests.cli.home import DEADLINE, Home
from tests.support.bluesky import CREATE, Person, SandboxBluesky
from tests.support.leasing import ROOT

PAUSE = 1.0
SLOW_LOGIN = 2.0
"""Seconds: after the pause, so that a call is still under way when no more are taken."""


def connect(
    channel: grpc.aio.Channel, key: str, person: Person
) -> "grpc.aio.UnaryUnaryCall[pb.ConnectProfileRequest, pb.ConnectProfileResponse]":
    credentials = pb.Credentials(handle=person.handle, app_password=person.app_password)
    return profiles_grpc.ProfileServiceStub(channel).ConnectProfile(
        pb.ConnectProfileRequest(platform="bluesky", credentials=credentials),
        metadata=(("x-api-key", key),),
        timeout=DEADLINE,
    )


def connected(home: Home) -> list[str]:
    """Return the accounts stored as connected, with their secrets."""
    with closing(sqlite3.connect(home.database)) as database:
        return [
            account
            for (account,) in database.execute(
                "SELECT account_id FROM connections JOIN credentials USING (profile_key)"
                " JOIN sessions USING (profile_key)"
            )
        ]


@pytest.mark.quick
@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal_drains(
    home: Home, api_key: str, sandbox: SandboxBluesky, number: signal.Signals
) -> None:
    """A connect under way gets its reply and is stored. Health checks fail while calls are still
    taken; then calls are rejected, and the exit code is 0."""
    person = await sandbox.person()
    sandbox.world.login_wait = SLOW_LOGIN
    with home.serve(**sandbox.settings(), DRAIN_PAUSE_SECONDS=str(PAUSE)) as server:
        async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(server.address) as channel:
            call = connect(channel, api_key, person)
            while not sandbox.server.counts[CREATE]:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(health, server.address) == "SERVING"
            server.process.send_signal(number)
            while await asyncio.to_thread(health, server.address) == "SERVING":
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(health, server.address) == "NOT_SERVING"
            assert await asyncio.to_thread(list_platforms, server.address, api_key) == "OK"
            assert not call.done()
            assert (await call).username == person.handle
            assert await asyncio.to_thread(server.end) == 0
        assert health(server.address) == "UNAVAILABLE"
        assert server.rest() == []
    assert connected(home) == [person.did]


@pytest.mark.process
async def test_a_signal_ends_streams_without_a_wait(home: Home, api_key: str) -> None:
    """Streams end with UNAVAILABLE long before POSTCORE_DRAIN_SECONDS; the cursor is valid at the
    next server."""
    metadata = (("x-api-key", api_key),)
    cursor = ""
    for _ in range(2):
        with home.serve("--sandbox", DRAIN_SECONDS=str(10 * DEADLINE)) as server:
            async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(server.address) as to:
                stub = profiles_grpc.ProfileServiceStub(to)
                request = pb.WatchConnectionsRequest(cursor=cursor)
                stream: Any = stub.WatchConnections(request, metadata=metadata)
                cursor = (await stream.read()).cursor
                server.process.send_signal(signal.SIGTERM)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stream.read()
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                assert await asyncio.to_thread(server.end) == 0
            assert '"outcome":"SERVICE_UNAVAILABLE","why":"stopping"' in server.errors


@pytest.mark.process
async def test_a_signal_drains_http_too(home: Home, api_key: str, sandbox: SandboxBluesky) -> None:
    """A connect under way gets its reply and is stored. /health answers 503 while calls are still
    taken; idle connections are closed."""
    person = await sandbox.person()
    sandbox.world.login_wait = SLOW_LOGIN
    credentials = {"handle": person.handle, "appPassword": person.app_password}
    with home.serve(**sandbox.settings(), DRAIN_PAUSE_SECONDS=str(PAUSE)) as server:
        async with (
            asyncio.timeout(DEADLINE),
            httpx.AsyncClient(
                base_url=f"http://{server.http}",
                headers={"x-api-key": api_key},
                timeout=DEADLINE,
                trust_env=False,
            ) as client,
        ):
            call = asyncio.create_task(
                client.post(
                    "/profiles/connect", json={"platform": "bluesky", "credentials": credentials}
                )
            )
            while not sandbox.server.counts[CREATE]:
                await asyncio.sleep(0.01)
            assert (await client.get("/health")).status_code == 200
            server.process.terminate()
            while (answer := await client.get("/health")).status_code == 200:
                await asyncio.sleep(0.01)
            assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
            assert (await client.get("/platforms")).status_code == 200
            assert not call.done()
            connected_now = await call
            assert connected_now.json()["username"] == person.handle
            assert await asyncio.to_thread(server.end) == 0
            with pytest.raises(httpx.ConnectError):
                await client.get("/health")
        assert server.errors.count("call failed") == 0
    assert connected(home) == [person.did]


@pytest.mark.process
async def test_work_of_cancelled_calls_is_drained(
    home: Home, api_key: str, sandbox: SandboxBluesky
) -> None:
    """A login whose caller has gone before the stop is still stored."""
    person = await sandbox.person()
    sandbox.world.login_wait = SLOW_LOGIN
    with home.serve(**sandbox.settings()) as server:
        async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(server.address) as channel:
            call = connect(channel, api_key, person)
            while not sandbox.server.counts[CREATE]:
                await asyncio.sleep(0.01)
            call.cancel()
            assert await asyncio.to_thread(server.end, signal.SIGTERM, signal.SIGTERM) == 0
        assert '"outcome":"cancelled"' in server.errors
        assert "stopped before all work was done" not in server.errors
    assert connected(home) == [person.did]


@pytest.mark.process
async def test_a_drain_ends_in_time(home: Home, api_key: str, sandbox: SandboxBluesky) -> None:
    """After POSTCORE_DRAIN_SECONDS the server logs an error and ends with exit code 0."""
    person = await sandbox.person()
    sandbox.world.login_wait = DEADLINE
    with home.serve(**sandbox.settings(), DRAIN_SECONDS="0.2") as server:
        async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(server.address) as channel:
            call = connect(channel, api_key, person)
            while not sandbox.server.counts[CREATE]:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(server.end, signal.SIGTERM) == 0
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        assert "stopped before all work was done" in server.errors
        assert "Traceback" not in server.errors
        assert person.app_password not in server.errors


@pytest.mark.process
def test_a_killed_server_starts_again(home: Home, api_key: str) -> None:
    """A server killed during its drain, which `healthcheck` reports with exit code 1, does not
    block the next one."""
    with home.serve(DRAIN_PAUSE_SECONDS=str(DEADLINE)) as server:
        assert list_platforms(server.address, api_key) == "OK"
        server.process.terminate()
        while health(server.address) == "SERVING":
            pass
        checked = home.run("healthcheck", GRPC_ADDRESS=server.address)
        assert (checked.code, checked.out, checked.err) == (1, "NOT_SERVING\n", "")
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    with home.serve(GRPC_ADDRESS=server.address) as again:
        assert again.address == server.address
        assert list_platforms(again.address, api_key) == "OK"


async def test_no_task_and_no_thread_is_left(
    home: Home, api_key: str, sandbox: SandboxBluesky
) -> None:
    """After `serving`, only the event loop's threads and gRPC's own thread are left."""
    person = await sandbox.person()
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    settings = home.settings(**sandbox.settings())
    async with serving(settings) as started, grpc.aio.insecure_channel(started.grpc) as channel:
        assert (await connect(channel, api_key, person)).username == person.handle
        assert len(asyncio.all_tasks()) > len(tasks)
        assert len(threading.enumerate()) > len(threads)
    # the sandbox serves each connection in a task of its own, for as long as it is kept
    left = asyncio.all_tasks() - tasks
    assert [task for task in left if "uvicorn" not in repr(task)] == []
    for thread in set(threading.enumerate()) - threads:
        if not thread.name.startswith(("asyncio_", "uvloop_")) and "_poll" not in thread.name:
            thread.join(DEADLINE)  # it may just be ending
            assert not thread.is_alive(), thread.name


@pytest.mark.process
def test_a_drain_of_no_time_ends(database: Path) -> None:
    """With no time to drain, calls and streams are cut off, and the process always ends by
    itself."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.stopping", str(database), "40"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
