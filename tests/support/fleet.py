"""Fleet: nodes, each a `postcore serve` process, on one PostgreSQL database."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio

from service.settings import Settings
from tests.support.leasing import ROOT, environ_of

CONFIG = (ROOT / "protos/service_config.json").read_text()
DEADLINE = 60.0
STARTS = 5


class Node:
    """A process run from the folder *program*; it restarts at its first address."""

    def __init__(self, read: Settings, log: Path, program: Path = ROOT) -> None:
        self._environ = environ_of(read)
        self._log = log
        self.program = program
        self.address = "127.0.0.1:0"
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start it, and wait until it takes calls."""
        for _ in range(STARTS):  # another process may hold its port for a moment
            if await self.is_ready():
                return
        raise AssertionError(f"no start: {self.last_line}")

    async def is_ready(self) -> bool:
        """Return whether it takes calls; if not, it has ended, and its last line gives the
        reason."""
        self.process = await self._run("serve")
        assert self.process.stdout
        async with asyncio.timeout(DEADLINE):
            ready = (await self.process.stdout.readline()).decode().split()
        for word in ready:
            if word.startswith("grpc="):
                self.address = word[5:]
                return True
        await self.process.wait()
        return False

    async def value(self, *command: str) -> str:
        """Return the output of another command of the same program, with the same settings."""
        process = await self._run(*command)
        out, _ = await process.communicate()
        assert process.returncode == 0, self.last_line
        return out.decode().strip()

    @property
    def _admin(self) -> dict[str, str]:
        # an earlier program may have no such setting
        return {"POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0"} if self.program == ROOT else {}

    @property
    def last_line(self) -> str:
        return self._log.read_text().splitlines()[-1]

    async def _run(self, *command: str) -> asyncio.subprocess.Process:
        paths = f"{self.program}:{self.program / 'generated'}"
        with self._log.open("ab") as lines:
            lines.write(b"\n")  # after a killed process's incomplete line
            lines.flush()
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service", *command),
                cwd=self.program,
                env={
                    **self._environ,
                    "PYTHONPATH": paths,
                    "POSTCORE_GRPC_ADDRESS": self.address,
                    **self._admin,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=lines,
            )

    async def end(self, number: signal.Signals) -> int:
        """Send the signal, unless it has ended, and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of *event*, over all its starts."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        # a killed process may leave its last line incomplete
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        return [line for line in whole if line["event"] == event]


@asynccontextmanager
async def fleet(
    read: Settings, folder: Path, count: int, program: Path = ROOT
) -> AsyncIterator[list[Node]]:
    """Start *count* nodes of *program*, and yield them once they take calls."""
    nodes = [Node(read, folder / f"node-{number}.log", program) for number in range(count)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.end, signal.SIGKILL)
        yield nodes


def channel_to(nodes: Sequence[Node]) -> grpc.aio.Channel:
    """Return a client's channel to all nodes, with the published service config."""
    addresses = ",".join(node.address for node in nodes)
    return grpc.aio.insecure_channel(f"ipv4:{addresses}", (("grpc.service_config", CONFIG),))
