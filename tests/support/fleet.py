"""Fleet: nodes, each a `postcore serve` of its own, on one PostgreSQL database."""

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
    """One of the processes, run from the folder *program*; it comes back at the address that it had
    at first."""

    def __init__(self, read: Settings, log: Path, program: Path = ROOT) -> None:
        self._environ = environ_of(read)
        self._log = log
        self.program = program
        self.address = "127.0.0.1:0"
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Have it take calls."""
        for _ in range(STARTS):  # its port may be somebody's for a moment
            if await self.begins():
                return
        raise AssertionError(f"no start: {self.last_line}")

    async def begins(self) -> bool:
        """Whether it takes calls: else it has ended, and its last line says why."""
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
        """What another command of the same program prints, with the same settings."""
        process = await self._run(*command)
        out, _ = await process.communicate()
        assert process.returncode == 0, self.last_line
        return out.decode().strip()

    @property
    def last_line(self) -> str:
        return self._log.read_text().splitlines()[-1]

    async def _run(self, *command: str) -> asyncio.subprocess.Process:
        paths = f"{self.program}:{self.program / 'generated'}"
        with self._log.open("ab") as lines:
            lines.write(b"\n")  # after what may be half a line of one that was killed
            lines.flush()
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service", *command),
                cwd=self.program,
                env={
                    **self._environ,
                    "PYTHONPATH": paths,
                    "POSTCORE_GRPC_ADDRESS": self.address,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=lines,
            )

    async def end(self, number: signal.Signals) -> int:
        """Its exit code, once it has ended on that signal; also where it has ended before."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log that tell of *event*, over all its starts."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        # the last line of one that was killed may be half of one
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        return [line for line in whole if line["event"] == event]


@asynccontextmanager
async def fleet(
    read: Settings, folder: Path, count: int, program: Path = ROOT
) -> AsyncIterator[list[Node]]:
    """So many nodes that take calls, all of them of *program*."""
    nodes = [Node(read, folder / f"node-{number}.log", program) for number in range(count)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.end, signal.SIGKILL)
        yield nodes


def to_all(nodes: Sequence[Node]) -> grpc.aio.Channel:
    """A client's way to them, with the service config that clients are given."""
    addresses = ",".join(node.address for node in nodes)
    return grpc.aio.insecure_channel(f"ipv4:{addresses}", (("grpc.service_config", CONFIG),))
