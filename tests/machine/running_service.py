"""The running service, with a monitor that runs on demand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest

from service.app import build as app
from service.connections import backoff as failures
from service.connections import monitor
from service.connections.timeouts import Timeouts
from service.crypto.keyring import create_keyring, new_keys
from service.domain.model import SECOND, Scope
from service.settings import Settings
from service.transport.grpc.server import GrpcServer
from service.transport.servicers import PlatformServicer, ProfileServicer, SessionServicer
from service.transport.webhooks import WebhookServicer
from tests.support.running import Running

from .clock import HeldClock

IN_HAND = 119_500_000
"""Not the monitor's own value, so that it shows which connections are being checked."""
DEADLINE_SECONDS = 20.0
"""The deadline of calls without a fault, for a busy machine."""
FAULT_DEADLINE_SECONDS = 0.3
"""The deadline of calls that a fault holds up."""
TIMEOUTS = Timeouts(
    call=DEADLINE_SECONDS + 1,
    connect=DEADLINE_SECONDS,
    check=DEADLINE_SECONDS,
    reservation=50,
    claim=50,
    claim_wait=50,
    picked=IN_HAND / SECOND,
)


class RunningService:
    """The service, while it is open."""

    def __init__(self, built: app.Application, service: Running, clock: HeldClock) -> None:
        self._monitor = built.monitor
        self._in_time = (built.connect, built.health)
        self._tasks = built.tasks
        self._clock = clock
        self.service = service

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database: Path, settings: Mapping[str, str], clock: HeldClock
    ) -> AsyncIterator["RunningService"]:
        """Compose the service as `serving` does, without background work."""
        read = Settings.read(
            {
                "POSTCORE_DATABASE_URL": f"sqlite:///{database}",
                "POSTCORE_KEYRING_FILE": str(database.with_name("keyring.json")),
                "POSTCORE_CHECKS_PER_SECOND": "1000",
                **{f"POSTCORE_{name}": value for name, value in settings.items()},
            }
        )
        create_keyring(read.keyring_file, new_keys("test"))
        async with app.build(read, "live", clock, TIMEOUTS) as built:
            server = GrpcServer(
                built.boundary,
                ProfileServicer(
                    built.connect, built.links, built.profiles, built.health, built.watch
                ),
                PlatformServicer(built.registry.cards()),
                SessionServicer(built.leases),
                WebhookServicer(built.webhooks),
                max_connections=read.max_grpc_connections,
            )
            address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
            async with grpc.aio.insecure_channel(address) as channel:
                service = Running(read, address, channel)
                service.tenant_id = await service.new_tenant()
                service.api_key, _ = await service.new_key()
                service.leasing_key, _ = await service.new_key(Scope.SESSIONS_LEASE)
                yield cls(built, service, clock)
            # no call is in progress; without a grace period, grpc crashes occasionally
            await server.stop(DEADLINE_SECONDS)

    async def round(self) -> None:
        """Let the monitor check every due connection."""
        monitor_task = asyncio.create_task(self._monitor.run())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while self._unfinished() and not monitor_task.done():
                    await asyncio.sleep(0.01)
        finally:
            monitor_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await monitor_task

    def set_deadline(self, seconds: float) -> None:
        """Set the deadline for each connect and each check."""
        for part in self._in_time:
            part.timeouts = replace(TIMEOUTS, connect=seconds, check=seconds)

    async def drain(self, seconds: float) -> None:
        """Wait for all tasks; cancel those that take longer than *seconds*."""
        await self._tasks.drain(seconds)

    def _unfinished(self) -> bool:
        now = self._clock.now()
        due = "SELECT 1 FROM connections WHERE next_check_at <= ? OR next_check_at = ?"
        return bool(self.service.rows(due, now, now + IN_HAND))


def hold_time(clock: HeldClock, patch: pytest.MonkeyPatch) -> None:
    """Replace the monotonic clock of the service with *clock*."""
    for module in (failures, monitor):
        patch.setattr(module, "monotonic", clock.seconds)
