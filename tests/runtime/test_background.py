"""Background work: restarted after an unforeseen exception."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.connections import monitor
from service.runtime import tasks
from service.storage.audit import SqlAudit
from service.storage.checks import SqlCheckQueue
from service.storage.events import SqlEvents
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running

LONG = 30.0


def failing_once(patch: pytest.MonkeyPatch, part: type, name: str) -> Callable[[], int]:
    """Make a method of a store raise an unforeseen exception once; return its call counter."""
    method = getattr(part, name)
    called = 0

    async def fails(*arguments: Any) -> Any:
        nonlocal called
        called += 1
        if called == 1:
            raise LookupError("unforeseen")
        return await method(*arguments)

    patch.setattr(part, name, fails)
    return lambda: called


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (SqlEvents, "latest"),
        (SqlCheckQueue, "pick_due"),
        (SqlAudit, "add"),
        (SqlEvents, "mark"),
    ],
)
async def test_failed_work_is_restarted(
    sandbox: SandboxBluesky, database: Path, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    """Watches still get events, connections are still checked and leases still recorded; the log
    holds one critical line."""
    monkeypatch.setattr(tasks, "RESTART_SECONDS", 0.01)
    monkeypatch.setattr(monitor, "MAX_REST_SECONDS", 0.02)
    called = failing_once(monkeypatch, part, name)
    with capture_logs() as lines:
        async with running(database, sandbox.settings()) as service, asyncio.timeout(LONG):
            person = await sandbox.person()
            key = (await service.connect(person.handle, person.app_password)).profile_key
            stream = service.profiles.WatchConnections(
                pb.WatchConnectionsRequest(), metadata=service.metadata()
            )
            await stream.read()
            await service.lease(key)
            while called() < 2:
                await asyncio.sleep(0.01)
            await service.execute("UPDATE connections SET next_check_at = 0")
            await until_checked(service)
            await service.profiles.DeleteProfile(
                pb.DeleteProfileRequest(profile_key=key), metadata=service.metadata()
            )
            kinds: list[str] = []
            while "KIND_DISCONNECTED" not in kinds:
                message: Any = await stream.read()
                kinds += [profile_pb2.ConnectionEvent.Kind.Name(one.kind) for one in message.events]
            stream.cancel()
        assert len(service.rows("SELECT * FROM audit WHERE lent <> ''")) == 1
    [line] = [line for line in lines if line["log_level"] == "critical"]
    assert line["event"] == "work in the background has failed"


async def until_checked(service: Running) -> None:
    """Wait until the monitor has checked a connection."""
    while not service.rows("SELECT 1 FROM connections WHERE checked_at IS NOT NULL"):
        await asyncio.sleep(0.05)
