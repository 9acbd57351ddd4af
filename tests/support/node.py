"""Node: a process that leases from a shared store, and does not serve.

    python -m tests.support.node TENANT PROFILE AHEAD TASKS

Settings come from the environment. It prints `ready`, waits for a line on standard input, and
leases in TASKS concurrent tasks with a clock that is AHEAD microseconds fast. It prints JSON:
digests of the leased access tokens, and the errors of the other leases.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from service.app.build import Application, build
from service.connections.leases import LeaseRequest
from service.domain.model import Caller, Scope
from service.settings import Settings
from tests.support.running import MovedClock

TASKS = 50
SECONDS = 30.0


async def lease(node: Application, tenant_id: str, profile_key: str, tasks: int) -> list[str]:
    """Lease in *tasks* concurrent tasks; return the digests of the tokens."""
    until = asyncio.get_running_loop().time() + SECONDS
    caller = Caller(tenant_id, "node", frozenset({Scope.SESSIONS_LEASE}), until)
    request = LeaseRequest(profile_key, "bluesky", "")
    leases = await asyncio.gather(*(node.leases.lease(caller, request) for _ in range(tasks)))
    return [hashlib.sha256(lent.access_token.encode()).hexdigest() for lent in leases]


@asynccontextmanager
async def nodes(settings: Settings, ahead: int, count: int) -> AsyncIterator[list[Application]]:
    """*count* applications on one store, in this process."""
    clock = MovedClock()
    clock.ahead = ahead
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(build(settings, clock=clock)) for _ in range(count)]


async def main() -> None:
    tenant_id, profile_key, ahead, tasks = sys.argv[1:]
    async with nodes(Settings.read(), int(ahead), 1) as [node]:
        # as a server does: loading the SDK in several processes at once would take longer than a
        # refresh
        for adapter in node.adapters:
            await adapter.warm_up()
        print("ready", flush=True)  # noqa: T201 - read by the test
        await asyncio.to_thread(sys.stdin.readline)
        digests = await lease(node, tenant_id, profile_key, int(tasks))
    print(json.dumps(digests))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
