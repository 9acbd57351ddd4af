"""Load: many concurrent calls from h2load, with each reply's size checked to the byte."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

AT_ONCE = 8
"""Concurrent calls of each h2load."""
FRAME = 5
"""Bytes before each message."""
DEADLINE = 120.0
DONE = re.compile(r"finished in ([0-9.]+)(us|ms|s|m),")
REQUESTS = re.compile(r"requests: .* ([0-9]+) succeeded, 0 failed, 0 errored, 0 timeout")
DATA = re.compile(r"\(([0-9]+)\) data")
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class WrongReplies(Exception):
    """The replies differ from a client's replies."""


@dataclass(frozen=True)
class Work:
    """One call, repeated with one key, and the size of a client's reply to it."""

    path: str
    request: bytes
    reply_size: int
    api_key: str = field(default="", repr=False)


def is_installed() -> bool:
    return shutil.which("h2load") is not None


async def rate(address: str, works: Sequence[Work], seconds: float) -> float:
    """Return the calls per second of all *works* together, over about *seconds*; raise
    WrongReplies."""
    # a few calls first, which calibrate the count and warm the caches
    few = max(10, int(100 * seconds))
    first = await calls(address, works, few)
    return await calls(address, works, max(few, int(first * seconds / len(works))))


async def calls(address: str, works: Sequence[Work], each: int) -> float:
    """Return the calls per second, with *each* calls of each of *works*."""
    with TemporaryDirectory() as folder:
        loads = []
        for number, work in enumerate(works):
            body = Path(folder) / str(number)
            body.write_bytes(b"\0" + len(work.request).to_bytes(4, "big") + work.request)
            loads.append(_load(address, work, each, body))
        async with asyncio.timeout(DEADLINE):
            times = await asyncio.gather(*loads)
    return each * len(works) / max(times)


async def _load(address: str, work: Work, count: int, body: Path) -> float:
    """Return the seconds that the load took."""
    # the key in argv belongs to a temporary store
    headers = ["content-type: application/grpc", "te: trailers", f"x-api-key: {work.api_key}"]
    process = await asyncio.create_subprocess_exec(
        *("h2load", "-n", str(count), "-c", "1", "-m", str(AT_ONCE), "-d", str(body)),
        *(word for header in headers for word in ("-H", header)),
        f"http://{address}{work.path}",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        printed = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    done, requests, data = (pattern.search(printed) for pattern in (DONE, REQUESTS, DATA))
    # a gRPC error is also HTTP 200, but has no message
    expected = count * (FRAME + work.reply_size)
    if not (done and requests and data) or (int(requests[1]), int(data[1])) != (count, expected):
        difference = f"{data[1] if data else 'no'} bytes of {expected}"
        raise WrongReplies(f"{work.path}: {difference}")
    return float(done[1]) * UNITS[done[2]]
