"""Fleet: nodes, each a `postcore serve` of its own, on one PostgreSQL database."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc.aio

from service.config import Settings
from tests.leasing import ROOT, environ_of
from tests.test_service_config import CONFIG

DEADLINE = 60.0
STARTS = 5


class Node:
    """One of the processes: it comes back at the address that it had at first."""

    def __init__(
        self,
        read: Settings,
        log: Path,
        *,
        program: Path = ROOT,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """*program*: the folder that it is run from. *more*: what its environment has besides."""
        self._environ = {**environ_of(read), **more}
        self._environ["PYTHONPATH"] = f"{program}:{program / 'generated'}"
        self._program = program
        self._log = log
        self.address = "127.0.0.1:0"
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Have it take calls."""
        for _ in range(STARTS):  # its port may be somebody's for a moment
            if await self._started():
                return
        raise AssertionError(f"no start: {self._log.read_text()[-2000:]}")

    async def _started(self) -> bool:
        with self._log.open("ab") as lines:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service", "serve"),
                cwd=self._program,
                env={**self._environ, "POSTCORE_GRPC_ADDRESS": self.address},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=lines,
            )
        assert self.process.stdout
        async with asyncio.timeout(DEADLINE):
            ready = (await self.process.stdout.readline()).decode().split()
        for word in ready:
            if word.startswith("grpc="):
                self.address = word[5:]
                return True
        await self.process.wait()
        return False

    async def end(self, number: signal.Signals) -> int:
        """Its exit code, once it has ended on that signal; also where it has ended before."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log that tell of *event*, over all its starts."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        # the last line of one that was killed may be half of one
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        return [line for line in whole if line["event"] == event]


@asynccontextmanager
async def fleet(read: Settings, folder: Path, count: int) -> AsyncIterator[list[Node]]:
    """So many nodes that take calls."""
    nodes = [Node(read, folder / f"node-{number}.log") for number in range(count)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.end, signal.SIGKILL)
        yield nodes


def to_all(nodes: Sequence[Node]) -> grpc.aio.Channel:
    """A client's way to them, with the service config that clients are given."""
    addresses = ",".join(node.address for node in nodes)
    return grpc.aio.insecure_channel(f"ipv4:{addresses}", (("grpc.service_config", CONFIG),))
