"""Running service: the whole service behind real sockets, for targets without coroutines."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from service.domain.model import Scope
from service.storage.migrations import migrate_apart
from tests.support.running import Running, running

NOWHERE = "http://127.0.0.1:9"
SETTINGS = {"PLC_URL": NOWHERE, "HANDLE_RESOLVER_URL": NOWHERE, "CALLS_PER_SECOND": "1000000"}


@contextmanager
def served(folder: Path) -> Iterator[tuple[asyncio.Runner, Running, str]]:
    """Yield the loop's runner, the service, and an API key with all scopes."""
    database = folder / "postcore.db"
    assert migrate_apart(f"sqlite:///{database}")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        service = runner.run(stack.enter_async_context(running(database, SETTINGS)))
        try:
            key, _ = runner.run(service.new_key(*Scope))
            yield runner, service, key
        finally:
            runner.run(stack.aclose())
