"""A service under load during a fault, and the replies of its callers."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service.settings import Settings
from tests.storage.test_postgres_outage import Load
from tests.support.running import Running

from .row import Figure
from .service_process import Owner, serving

T = TypeVar("T")
MORE = 20
"""Calls that must be acknowledged after each fault."""
REFUSED_SECONDS = 20.0
"""The time within which a fault shows; a database lock is waited for 5 s."""
AWAY = {"SERVICE_UNAVAILABLE"}


@dataclass(frozen=True)
class Fault:
    """How a fault starts and ends; raises OSError if this machine cannot produce it."""

    name: str
    begin: Callable[[], object]
    end: Callable[[], object]


class LoadedService:
    """A service under load, and the store that its replies are checked against."""

    def __init__(self, service: Running) -> None:
        self.service = service
        self.load = Load(service)

    async def apply(self, fault: Fault) -> Figure:
        """Return the callers' errors during and after the fault, and whether data was lost."""
        load = self.load
        load.refusals.clear()
        load.hasty = 0
        try:
            await asyncio.to_thread(fault.begin)
        except (OSError, subprocess.CalledProcessError) as error:
            await asyncio.to_thread(fault.end)
            return Figure(
                fault.name, f"not available on this machine: {type(error).__name__}", None
            )
        try:
            felt = await within(REFUSED_SECONDS, lambda: bool(load.refusals))
        finally:
            await asyncio.to_thread(fault.end)
        heard = sorted(load.refusals)
        recovered = await self.recovered()
        kept = {row["profile_key"] for row in self.service.rows("SELECT profile_key FROM profiles")}
        lost = len(set(load.acknowledged) - kept)
        return Figure(
            fault.name,
            f"{', '.join(heard) or 'nothing'} returned, {load.hasty} without RetryInfo; "
            f"{'recovered' if recovered else '**did not recover**'} without a restart; "
            f"{lost} of {len(load.acknowledged)} acknowledged lost",
            felt and set(heard) == AWAY and not load.hasty and recovered and not lost,
        )

    async def recovered(self) -> bool:
        """Return whether calls are acknowledged again and none is refused at the end."""
        try:
            await self.load.more(MORE)
            self.load.refusals.clear()
            await self.load.more(MORE)
        except TimeoutError:
            return False
        return not self.load.refusals


def some(all_: Sequence[T], part: float) -> list[T]:
    """Return all of them in a full run, else a random few: most faults take seconds of waiting."""
    return list(all_) if part == 1 else random.sample(list(all_), max(1, len(all_) // 3))


async def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Return whether the condition becomes true in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def loaded_service(read: Settings, log: Path) -> AsyncIterator[LoadedService]:
    """Run a service process with callers at work."""
    owner = await Owner.made(read)
    async with serving(read, log) as served, served.called(owner) as service:
        loaded = LoadedService(service)
        async with loaded.load.run_in_background():
            await loaded.load.more(MORE)
            yield loaded
