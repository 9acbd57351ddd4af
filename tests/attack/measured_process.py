"""`postcore` in a process that reports its memory and tasks at a socket.

    python -m tests.attack.measured_process SOCKET serve

With PYTHONMALLOC=malloc, the C library allocates and counts all memory of Python and gRPC to the
byte; the system counts in pages, which would hide 150 bytes.
"""

import asyncio
import ctypes
import gc
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.app import serving as app
from service.cli import main as cli

BYTE_BY_BYTE = {
    "PYTHONMALLOC": "malloc",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
}


@dataclass(frozen=True)
class Held:
    """The resources of a process: bytes in use, and its tasks by name."""

    bytes: int
    tasks: Counter[str]

    @classmethod
    async def by(cls, socket: str) -> "Held":
        reader, writer = await asyncio.open_unix_connection(socket)
        report = json.loads(await reader.read())
        writer.close()
        return cls(report["bytes"], Counter(report["tasks"]))


class _Mallinfo(ctypes.Structure):
    """The result of mallinfo2 in the GNU C library."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def in_use() -> int:
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = _Mallinfo
    info = library.mallinfo2()
    return int(info.uordblks + info.hblkhd)


async def _report(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    gc.collect()
    tasks = Counter(
        getattr(task.get_coro(), "__qualname__", "")
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
    )
    writer.write(json.dumps({"bytes": in_use(), "tasks": tasks}).encode())
    writer.close()


def main() -> None:
    socket = sys.argv.pop(1)
    serving = app.serving

    @asynccontextmanager
    async def watched(*arguments: Any, **named: Any) -> AsyncIterator[app.Serving]:
        async with serving(*arguments, **named) as addresses:
            server = await asyncio.start_unix_server(_report, socket)
            try:
                yield addresses
            finally:
                server.close()

    app.serving = watched
    cli.main()


if __name__ == "__main__":
    main()
