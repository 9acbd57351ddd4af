"""Nodes: what each language's caller sees as one of three nodes is drained and another killed.

    python -m tests.examples.nodes

It prints the table of docs/languages.md.
"""

import asyncio
import json
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import Scope
from tests.bench.seed import settings
from tests.examples.build import Example, built
from tests.examples.languages import LANGUAGES
from tests.support.bluesky import SandboxBluesky
from tests.support.fleet import Node, fleet
from tests.support.postgres import Cluster, binaries
from tests.support.running import Running

NODES = 3
PHASES = ("all run", "one drained", "one killed")
BUDGETS = ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET")
ROUNDS = 3
"""Of a connect and a disconnect in each phase."""
EVENTS = 2 * ROUNDS * len(PHASES)
PHASE_SECONDS = 3.0
DEADLINE_SECONDS = 90.0
"""Of any step: far more than it takes, for busy machines."""


@dataclass
class Seen:
    """What a caller saw in a phase: calls, failed calls and breaks of its watch by code."""

    calls: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    longest_ms: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    events: int = 0

    def add(self, more: Mapping[str, Any]) -> None:
        self.calls += more["calls"]
        self.failed.update(more["failed"])
        self.longest_ms = max(self.longest_ms, more["longest_ms"])
        self.breaks.update(more["breaks"])
        self.events += more["events"]


class Caller:
    """An example that calls and watches all nodes until it is closed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.phases: list[Seen] = []

    @classmethod
    async def start(cls, example: Example, environ: Mapping[str, str]) -> Self:
        process = await asyncio.create_subprocess_exec(
            *example.command,
            "follow",
            cwd=example.folder,
            env=example.environ(environ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def line(self) -> str:
        assert self._process.stdout
        async with asyncio.timeout(DEADLINE_SECONDS):
            line = (await self._process.stdout.readline()).decode().strip()
        assert line, "the example ended"
        return line

    async def look(self) -> None:
        """Add to the present phase what was seen since the last look."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self.phases[-1].add(json.loads(await self.line()))

    @property
    def events(self) -> int:
        return sum(phase.events for phase in self.phases)

    async def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


async def followed(
    examples: Mapping[str, Example], folder: Path, database_url: str
) -> dict[str, list[Seen]]:
    """What each example saw in each of PHASES; all events are made in the last node's process."""
    async with _served(folder, database_url) as (nodes, client, person):
        followed_key = (await client.connect(*person, timeout=DEADLINE_SECONDS)).profile_key
        environ = {
            "POSTCORE_GRPC_ADDRESS": ",".join(node.address for node in nodes),
            "POSTCORE_API_KEY": client.api_key,
            "POSTCORE_PROFILE": followed_key,
        }
        async with AsyncExitStack() as stack:
            callers = {}
            for name, example in examples.items():
                callers[name] = await Caller.start(example, environ)
                stack.push_async_callback(callers[name].close)
            for caller in callers.values():
                assert await caller.line() == "following"
            for phase in PHASES:
                for caller in callers.values():
                    caller.phases.append(Seen())
                if phase == "one drained":
                    assert await nodes[0].end(signal.SIGTERM) == 0
                elif phase == "one killed":
                    await nodes[1].end(signal.SIGKILL)
                await _change(client, person, followed_key)
                await asyncio.sleep(PHASE_SECONDS)  # the phase, in which callers go on
                for caller in callers.values():
                    await caller.look()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while any(caller.events < EVENTS for caller in callers.values()):
                    await asyncio.sleep(0.5)
                    for caller in callers.values():
                        await caller.look()
            return {name: caller.phases for name, caller in callers.items()}


@asynccontextmanager
async def _served(
    folder: Path, database_url: str
) -> AsyncIterator[tuple[list[Node], Running, tuple[str, str]]]:
    """Three nodes on one database, a client of the last one, and an account's credentials."""
    async with SandboxBluesky.started() as bluesky:
        more = {
            **bluesky.settings(),
            **dict.fromkeys(BUDGETS, "100000,100000"),
            "DRAIN_PAUSE_SECONDS": "1",
        }
        read = settings(folder, database_url, more)
        person = await bluesky.person()
        async with (
            fleet(read, folder, NODES) as nodes,
            grpc.aio.insecure_channel(nodes[-1].address) as channel,
        ):
            client = Running(read, nodes[-1].address, channel)
            client.tenant_id = await client.new_tenant()
            client.api_key, _ = await client.new_key(*Scope)
            yield nodes, client, (person.handle, person.app_password)


async def _change(client: Running, person: tuple[str, str], profile_key: str) -> None:
    """Make two events ROUNDS times."""
    end = pb.DisconnectPlatformRequest(profile_key=profile_key, platform="bluesky")
    for _ in range(ROUNDS):
        await client.profiles.DisconnectPlatform(
            end, metadata=client.metadata(), timeout=DEADLINE_SECONDS
        )
        await client.connect(*person, profile_key=profile_key, timeout=DEADLINE_SECONDS)


def table(seen: Mapping[str, list[Seen]]) -> str:
    """The table of docs/languages.md."""
    rows = [
        "| Language | | calls | failed | longest | breaks of the watch | events missed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, phases in seen.items():
        missed = EVENTS - sum(phase.events for phase in phases)
        for phase, of in zip(PHASES, phases, strict=True):
            failed = _counted(of.failed)
            last = str(missed) if phase == PHASES[-1] else ""
            rows.append(
                f"| {name if phase == PHASES[0] else ''} | {phase} | {of.calls} | {failed} "
                f"| {of.longest_ms} ms | {_counted(of.breaks)} | {last} |"
            )
    return "\n".join(rows)


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items())) or "0"


async def _main() -> None:
    """Print the table for all languages whose tools are here."""
    programs = binaries()
    assert programs is not None, "PostgreSQL's server is not installed"
    examples = {
        name: built(language) for name, language in LANGUAGES.items() if not language.missing
    }
    cluster = await asyncio.to_thread(Cluster.started, programs)
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = cluster.url(await cluster.new_database())
            print(table(await followed(examples, Path(folder), url)))  # noqa: T201 - its purpose
    finally:
        await asyncio.to_thread(cluster.remove)


if __name__ == "__main__":
    asyncio.run(_main())
