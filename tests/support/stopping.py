"""Stopping: servers stopped without a grace period during calls, one after the other.

    python -m tests.support.stopping DATABASE ROUNDS

Runs in its own process, because a failure in grpc would end the process.
"""

import asyncio
import sys
from pathlib import Path
from random import Random
from typing import Any

import structlog

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.support.bluesky import SandboxBluesky
from tests.support.running import running
from tests.support.watcher import Watcher

STREAMS = 4
CALLS = 30


async def stop_again_and_again(database: Path, rounds: int) -> None:
    chance = Random(1)
    async with SandboxBluesky.started() as sandbox:
        settings = {**sandbox.settings(), "DRAIN_SECONDS": "0"}
        for _ in range(rounds):
            async with running(database, settings) as service:
                watchers = [Watcher(service) for _ in range(STREAMS)]
                for watcher in watchers:
                    await watcher.message()
                calls: list[Any] = [
                    service.profiles.ListProfiles(
                        pb.ListProfilesRequest(), metadata=service.metadata(), timeout=10
                    )
                    for _ in range(CALLS)
                ]
                ends = asyncio.gather(*calls, return_exceptions=True)
                await asyncio.sleep(chance.uniform(0, 0.03))
            await ends
            for watcher in watchers:
                watcher.call.cancel()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    asyncio.run(stop_again_and_again(Path(sys.argv[1]), int(sys.argv[2])))
