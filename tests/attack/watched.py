"""Watched: `postcore` in a process that tells how much it holds, to whoever asks at a socket.

    python -m tests.attack.watched SOCKET serve

With PYTHONMALLOC=malloc all that Python and gRPC hold comes from the C library, which counts it to
the byte: what the system shows of a process is pages, and would hide 150 bytes.
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
    """What a process holds: bytes that are in use, and tasks by what they do."""

    bytes: int
    tasks: Counter[str]

    @classmethod
    async def by(cls, socket: str) -> "Held":
        reader, writer = await asyncio.open_unix_connection(socket)
        told = json.loads(await reader.read())
        writer.close()
        return cls(told["bytes"], Counter(told["tasks"]))


class _Mallinfo(ctypes.Structure):
    """What mallinfo2 of the GNU C library tells."""

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
    told = library.mallinfo2()
    return int(told.uordblks + told.hblkhd)


async def _tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
            server = await asyncio.start_unix_server(_tell, socket)
            try:
                yield addresses
            finally:
                server.close()

    app.serving = watched
    cli.main()


if __name__ == "__main__":
    main()
