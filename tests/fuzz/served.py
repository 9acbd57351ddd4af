"""Served: the whole service behind real sockets, for targets that are no coroutines."""

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
    """The loop that it goes on in while something runs there, the service, and a key for all."""
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
