"""Processes: the measured servers, on a core of their own."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from service.settings import Settings
from tests.support.leasing import ROOT, environ_of

DEADLINE = 60.0


@dataclass(frozen=True)
class Server:
    """A process that takes calls, and its addresses."""

    pid: int
    address: str
    http: str = ""

    @property
    def memory(self) -> float:
        """Its resident memory, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    @property
    def busy(self) -> float:
        """Its CPU time, in seconds."""
        # pid (name) state …, of which the times are the 14th and the 15th
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def load_on_one_core() -> Iterator[str]:
    """Restrict this process and its children to the machine's last core; yield the first.

    The first core is for the servers. On a machine with one core, nothing is changed.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or shutil.which("taskset") is None:
        yield ""
        return
    os.sched_setaffinity(0, {cores[-1]})
    try:
        yield str(cores[0])
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def on_core(core: str) -> Iterator[None]:
    """Run this process, but not its children, on *core*; nothing is changed if it is empty."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)} if core else before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@asynccontextmanager
async def started(
    module: Sequence[str],
    read: Settings,
    core: str,
    log: Path,
    more: Mapping[str, str] = MappingProxyType({}),
    before: Sequence[str] = (),
) -> AsyncIterator[Server]:
    """Start `python -m MODULE …`, wrapped in the command *before*, and yield it once it takes
    calls.

    Its environment holds the settings *read* and *more*; it logs to a file.
    """
    pinned = (*before, *(("taskset", "--cpu-list", core) if core else ()))
    with log.open("ab") as lines:
        process = await asyncio.create_subprocess_exec(
            *(*pinned, sys.executable, "-m", *module),
            cwd=ROOT,
            env={**environ_of(read), **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=lines,
        )
    try:
        assert process.stdout
        async with asyncio.timeout(DEADLINE):
            ready = (await process.stdout.readline()).decode().split()
        addresses = dict(word.split("=", 1) for word in ready if "=" in word)
        yield Server(process.pid, addresses["grpc"], addresses.get("http", ""))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
