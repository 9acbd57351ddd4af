"""`serve` in its own process, which an attack starts, breaks and restarts."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from service.domain.model import Scope
from service.settings import Settings
from tests.support.leasing import ROOT, environ_of
from tests.support.running import Running

DEADLINE = 60.0
SERVE = ("service", "serve")


class Ended(Exception):
    """The process ended before it took calls; the text is its last line of output."""


@dataclass(frozen=True)
class Owner:
    """A tenant, and its keys."""

    tenant_id: str
    api_key: str
    leasing_key: str

    @classmethod
    async def made(cls, read: Settings) -> "Owner":
        """Create a tenant in the store of *read*."""
        async with beside(read) as store:
            store.tenant_id = await store.new_tenant()
            api_key, _ = await store.new_key()
            leasing_key, _ = await store.new_key(Scope.SESSIONS_LEASE)
        return cls(store.tenant_id, api_key, leasing_key)


@asynccontextmanager
async def beside(read: Settings) -> AsyncIterator[Running]:
    """Open the store of *read* without a server."""
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        yield Running(read, "", nowhere)


class Served:
    """The process; it logs to a file."""

    def __init__(self, process: asyncio.subprocess.Process, read: Settings, log: Path) -> None:
        self.process = process
        self._read = read
        self._log = log

    async def ready(self) -> str:
        """Return the addresses once it takes calls; raise Ended."""
        assert self.process.stdout
        async with asyncio.timeout(DEADLINE):
            words = (await self.process.stdout.readline()).decode().split()
            if not words:
                await self.process.wait()
                raise Ended((self._log.read_text().splitlines() or [""])[-1])
        [address] = [word[5:] for word in words if word.startswith("grpc=")]
        return address

    @asynccontextmanager
    async def called(self, owner: Owner) -> AsyncIterator[Running]:
        """Yield the service, called as *owner*, once it takes calls."""
        address = await self.ready()
        alone = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, alone) as channel:
            running = Running(self._read, address, channel, owner.tenant_id, owner.api_key)
            running.leasing_key = owner.leasing_key
            yield running

    async def end(self, number: signal.Signals) -> int:
        """Send the signal, wait for the end, and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()


@asynccontextmanager
async def serving(
    read: Settings,
    log: Path,
    module: Sequence[str] = SERVE,
    before: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[Served]:
    """Run `python -m MODULE …` with the settings *read* for the block, wrapped in the command
    *before*."""
    with log.open("ab") as lines:
        process = await asyncio.create_subprocess_exec(
            *(*before, sys.executable, "-m", *module),
            cwd=ROOT,
            env={**environ_of(read), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=lines,
        )
    served = Served(process, read, log)
    try:
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def sentence(
    read: Settings,
    log: Path,
    module: Sequence[str] = SERVE,
    before: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> str:
    """Return the sentence with which a start is refused; empty if it is not refused."""
    async with serving(read, log, module, before, more) as served:
        try:
            await served.ready()
        except Ended as ended:
            return str(ended).removeprefix("Error: ") if served.process.returncode == 1 else ""
    return ""
