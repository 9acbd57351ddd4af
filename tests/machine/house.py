"""House: the service, taking calls, with its monitor in the test's hand."""

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
from tests.support.running import Running

from .clock import HeldClock

IN_HAND = 119_500_000
"""Not the monitor's own: it shows which connections are being checked."""
LONG_SECONDS = 20.0
"""For what nothing holds up, on a busy machine."""
SHORT_SECONDS = 0.3
"""For what something does."""
TIMEOUTS = Timeouts(
    call=LONG_SECONDS + 1,
    connect=LONG_SECONDS,
    check=LONG_SECONDS,
    reservation=50,
    claim=50,
    claim_wait=50,
    picked=IN_HAND / SECOND,
)


class House:
    """The service, for as long as it is open."""

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
    ) -> AsyncIterator["House"]:
        """As `serving` composes it, but that nothing goes on by itself."""
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
                ProfileServicer(built.connect, built.profiles, built.health, built.watch),
                PlatformServicer(built.registry.cards()),
                SessionServicer(built.leases),
                max_connections=read.max_grpc_connections,
            )
            address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
            async with grpc.aio.insecure_channel(address) as channel:
                service = Running(read, address, channel)
                service.tenant_id = await service.new_tenant()
                service.api_key, _ = await service.new_key()
                service.leasing_key, _ = await service.new_key(Scope.SESSIONS_LEASE)
                yield cls(built, service, clock)
            # nothing is under way; with no grace at all, grpc crashes now and then
            await server.stop(LONG_SECONDS)

    async def round(self) -> None:
        """Let the monitor check whatever is due."""
        run_in_background = asyncio.create_task(self._monitor.run())
        try:
            async with asyncio.timeout(LONG_SECONDS):
                while self._unfinished() and not run_in_background.done():
                    await asyncio.sleep(0.01)
        finally:
            run_in_background.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run_in_background

    def be_patient(self, seconds: float) -> None:
        """Give the platform so many seconds for each connect and each check."""
        for part in self._in_time:
            part.timeouts = replace(TIMEOUTS, connect=seconds, check=seconds)

    async def calm_down(self, seconds: float) -> None:
        """Until nothing is under way; what takes longer, as what hangs does, is given up."""
        await self._tasks.drain(seconds)

    def _unfinished(self) -> bool:
        now = self._clock.now()
        due = "SELECT 1 FROM connections WHERE next_check_at <= ? OR next_check_at = ?"
        return bool(self.service.rows(due, now, now + IN_HAND))


def hold_time(clock: HeldClock, patch: pytest.MonkeyPatch) -> None:
    """Let all that the service counts by the machine's time be counted by *clock*."""
    for module in (failures, monitor):
        patch.setattr(module, "monotonic", clock.seconds)
