"""Throughput: the service's calls per second, as a share of a bare echo's beside it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.bench.figure import Figure
from tests.bench.load import rate
from tests.bench.methods import GET, LEASE, LIST, PLATFORMS, echoes, works
from tests.bench.processes import Server, started
from tests.bench.seed import NOWHERE, Owner, plant, settings
from tests.bench.usual import MODULE, like
from tests.support.postgres import Cluster

TENANTS = 8
PROFILES = 125


@dataclass(frozen=True)
class Subject:
    """A method of a server, and the share of an echo's rate that it must reach."""

    name: str
    method: str
    server: Server
    owners: Sequence[Owner]
    least: float | None
    guarded: bool = False


@dataclass(frozen=True)
class Stage:
    """The servers, side by side."""

    echo: Server
    sqlite: Server
    subjects: tuple[Subject, ...]
    pairs: tuple[tuple[Subject, Server], ...] = ()
    """Subjects beside the usual design on the same engine."""


@asynccontextmanager
async def stage(
    folder: Path, cluster: Cluster, core: str, tenants: int = TENANTS, profiles: int = PROFILES
) -> AsyncIterator[Stage]:
    """Start a bare echo, the service on each engine, and an echo behind the service's boundary."""
    log = folder / "log"
    on_file = settings(folder, f"sqlite:///{folder / 'postcore.db'}")
    on_postgres = settings(folder, cluster.url(await cluster.new_database()))
    of_file, of_postgres = [await plant(read, tenants, profiles) for read in (on_file, on_postgres)]
    usual = [
        await like(read, owners)
        for read, owners in ((on_file, of_file), (on_postgres, of_postgres))
    ]
    async with AsyncExitStack() as stack:
        usual_sqlite, usual_postgres = [
            await stack.enter_async_context(started((*MODULE, NOWHERE), on_file, core, log, more))
            for more in usual
        ]
        echo, guarded, sqlite, postgres = [
            await stack.enter_async_context(started(module, read, core, log))
            for module, read in (
                (("tests.bench.echo",), on_file),
                (("tests.bench.echo", "guarded"), on_file),
                (("service", "serve"), on_file),
                (("service", "serve"), on_postgres),
            )
        ]
        yield Stage(
            echo,
            sqlite,
            (
                Subject("GetProfile, SQLite", GET, sqlite, of_file, 0.55),
                Subject("GetProfile, PostgreSQL", GET, postgres, of_postgres, 0.45),
                Subject("LeaseSession of a stored token, SQLite", LEASE, sqlite, of_file, 0.55),
                Subject("ListProfiles of 50, SQLite", LIST, sqlite, of_file, 0.30),
                Subject(
                    "API-key check and boundary on an echo",
                    *(PLATFORMS, guarded, of_file, 0.85, True),
                ),
                Subject("ListPlatforms, whole", PLATFORMS, sqlite, of_file, None),
            ),
            tuple(
                (Subject(f"{name}, {engine}", method, ours, owners, None), theirs)
                for engine, ours, theirs, owners in (
                    ("SQLite", sqlite, usual_sqlite, of_file),
                    ("PostgreSQL", postgres, usual_postgres, of_postgres),
                )
                for name, method in (("GetProfile", GET), ("LeaseSession", LEASE))
            ),
        )


async def throughput(on: Stage, rounds: int, seconds: float) -> list[Figure]:
    """Measure each subject beside the echo in each round, in alternating order."""
    chance = Random(1)
    ratios: dict[str, list[float]] = {subject.name: [] for subject in on.subjects}
    echo_rates = []
    beside: dict[str, list[float]] = {subject.name: [] for subject, _ in on.pairs}
    for number in range(rounds):
        order = (0, 1) if number % 2 else (1, 0)
        for subject in on.subjects:
            its = await works(
                subject.server.address, subject.method, subject.owners, chance, subject.guarded
            )
            bare = await echoes(on.echo.address, its)
            turns = [(on.echo.address, bare), (subject.server.address, its)]
            rates = {turn: await rate(*turns[turn], seconds) for turn in order}
            echo_rates.append(rates[0])
            ratios[subject.name].append(rates[1] / rates[0])
        for subject, usual in on.pairs:
            pair = []
            for server in (usual, subject.server):
                its = await works(server.address, subject.method, subject.owners, chance)
                pair.append((server.address, its))
            rates = {turn: await rate(*pair[turn], seconds) for turn in order}
            beside[subject.name].append(rates[1] / rates[0])
    return [
        *(
            Figure(subject.name, "× echo", ratios[subject.name], least=subject.least)
            for subject in on.subjects
        ),
        Figure("a bare grpc.aio + uvloop echo", "calls/s", echo_rates),
        *(Figure(f"{name}, beside the usual", "× usual", rates) for name, rates in beside.items()),
    ]
