"""docs/watching.md: the program on it keeps a full copy."""

import asyncio
import re
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from service.domain.model import DAY
from tests.events.test_watch import all_profiles, change_a_lot, connected
from tests.support.running import MovedClock, Running
from tests.support.watcher import DEADLINE, beside, retention_of

PAGE = Path(__file__).parents[2] / "docs/watching.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def page() -> dict[str, Any]:
    """What the page's program defines."""
    names: dict[str, Any] = {}
    exec("\n".join(BLOCK.findall(PAGE.read_text())), names)
    return names


async def caught_up(service: Running, copy: Any) -> None:
    """Wait until the copy equals the reply of ListProfiles."""
    async with asyncio.timeout(DEADLINE):
        while True:
            listed = connected(await all_profiles(service))
            if copy.connections == {(key, "bluesky"): value for key, value in listed.items()}:
                return
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_the_program_keeps_a_full_copy(sandboxed: Running, page: dict[str, Any]) -> None:
    """Through changes, a break, and a cursor that has expired meanwhile; and it stops where no
    repetition helps."""
    clock = MovedClock()
    key, key_id = await sandboxed.new_key()
    async with beside(sandboxed) as others, grpc.aio.insecure_channel(sandboxed.address) as channel:
        copy = page["Copy"](channel, key)

        async def change() -> None:
            await change_a_lot(others, 30)
            await others.connect()

        await change()
        for break_ in (change, None):
            keeping = asyncio.create_task(copy.keep())
            await change()
            await caught_up(sandboxed, copy)
            keeping.cancel()
            await asyncio.wait([keeping])
            if break_:
                await break_()
        cursor = copy.cursor
        await change()
        retention = retention_of(others.store, clock)
        await retention.prune()
        clock.ahead += 8 * DAY
        await retention.prune()
        assert not sandboxed.rows("SELECT * FROM events")
        keeping = asyncio.create_task(copy.keep())
        await caught_up(sandboxed, copy)
        assert copy.cursor != cursor
        await sandboxed.revoke_key(key_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(keeping, DEADLINE)
        assert page["reason"](caught.value) == "INVALID_API_KEY"


async def test_the_page_names_what_it_is_run_with(sandboxed: Running, page: dict[str, Any]) -> None:
    """`main` takes an address and a key, and goes on until it is stopped."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(page["main"](sandboxed.address, sandboxed.api_key), 1)
