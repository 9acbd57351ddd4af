"""Reference: the Node process that resolves handles with @atproto/identity."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

SCRIPT = Path(__file__).with_name("reference.mjs")
START_SECONDS = 60


class Reference:
    """Takes many questions at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.version = ""

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path, plc_url: str, roots: Path) -> AsyncIterator[Self]:
        """*folder* holds its packages; it believes the certificates of *roots*."""
        process = await asyncio.create_subprocess_exec(
            "node",
            str(SCRIPT),
            str(folder),
            plc_url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "NODE_EXTRA_CA_CERTS": str(roots),
                # look-ups of addresses each hold one of Node's threads, which are 4 by default
                "UV_THREADPOOL_SIZE": "64",
            },
        )
        reference = cls(process)
        assert process.stdin
        assert process.stdout
        async with asyncio.timeout(START_SECONDS):
            reference.version = json.loads(await process.stdout.readline())["version"]
        reading = asyncio.create_task(reference._read(process.stdout))
        try:
            yield reference
        finally:
            reading.cancel()
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def resolve(self, handle: str) -> dict[str, Any]:
        """Its answer on *handle*."""
        number = len(self._waiting)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"id": number, "handle": handle}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._waiting[number]

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            answer = json.loads(line)
            waiting = self._waiting[answer["id"]]
            if not waiting.done():
                waiting.set_result(answer)
