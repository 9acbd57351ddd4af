"""Upgrade: two nodes of the program before its newest migration are replaced under load.

Today's program replaces one after the other. The earlier program comes from this repository's
history; without it there is no figure.
"""

import asyncio
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import click

from service.crypto.keyring import create_keyring
from service.settings import Settings
from service.storage import migrations
from service.storage.migrations import HEAD
from tests.conftest import tool
from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.crowd import METHODS, Crowd
from tests.support.engines import rows
from tests.support.fleet import Node, channel_to, fleet
from tests.support.leasing import ROOT
from tests.support.live_changes import old_keys
from tests.support.postgres import Cluster, binaries
from tests.support.running import Running

from .nodes import BUDGETS, CONNECTIONS, PEOPLE, Stage, print_tallies

SCOPES = ("profiles:read", "profiles:write", "sessions:lease")
SIDE_BY_SIDE = 10.0


def former(folder: Path) -> bool:
    """Put the program before its newest migration into *folder*; return whether it exists."""
    newest = max((Path(migrations.__file__).parent / "versions").glob("0*.py"))
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest))
    packed = _git("archive", f"{added.decode().strip()}^", "service", "generated")
    if not packed:
        return False
    subprocess.run(["tar", "-x", "-C", folder], input=packed, check=True)
    return True


def _git(*arguments: str) -> bytes:
    done = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout


async def table() -> bool:
    """Print the outcome of the calls, and of the earlier program on the newer schema."""
    programs = binaries()
    assert programs is not None
    with tempfile.TemporaryDirectory() as made:
        program, folder = Path(made) / "former", Path(made) / "nodes"
        program.mkdir()
        folder.mkdir()
        if not former(program):
            click.echo("this repository's history does not reach back to the former program")
            return False
        cluster = await asyncio.to_thread(Cluster.started, programs)
        try:
            async with await RealServer.start(
                tool("tests/pds/install"), login_floor=False
            ) as server:
                url = cluster.url(await cluster.new_database())
                return await _upgraded(RealBluesky(server), url, folder, program)
        finally:
            await asyncio.to_thread(cluster.remove)


async def _upgraded(bluesky: RealBluesky, url: str, folder: Path, program: Path) -> bool:
    more = {
        "DATABASE_URL": url,
        "KEYRING_FILE": str(folder / "keyring.json"),
        "HTTP_ADDRESS": "127.0.0.1:0",
        "CALLS_PER_SECOND": "1000000",
        "CHECK_HOURS": "24",
        **bluesky.settings(),
        **dict.fromkeys(BUDGETS, "100000,100000"),
    }
    read = Settings.read({f"POSTCORE_{name}": value for name, value in more.items()})
    create_keyring(read.keyring_file, old_keys("figures"))
    people = [await bluesky.person() for _ in range(PEOPLE)]
    async with fleet(read, folder, 2, program) as nodes, channel_to(nodes) as channel:
        client = Running(read, "", channel)
        # by the earlier program: today's would migrate the schema
        client.tenant_id = await nodes[0].value("tenants", "create", "figures")
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        client.api_key = client.leasing_key = await nodes[0].value(
            "api-keys", "create", "--tenant", client.tenant_id, *scopes
        )
        crowd = Crowd(client, people)
        await crowd.settle(CONNECTIONS)
        on = Stage(url, bluesky, nodes, crowd)
        revisions = [_revision(url)]
        async with crowd.calling():
            await asyncio.sleep(1)
            await _replace(nodes[0])
            revisions.append(_revision(url))
            before = _answered(nodes[1])
            await on.make_due(0)
            await asyncio.sleep(SIDE_BY_SIDE)
            beside = _answered(nodes[1]) - before
            stranger = Node(read, folder / "stranger.log", program)
            refused = not await stranger.is_ready()
            await stranger.end(signal.SIGKILL)
            await _replace(nodes[1])
            await asyncio.sleep(1)
        missing = await on.missing()
    print_tallies(list(crowd.tallies.values()))
    verdicts = on.verdicts()
    click.echo(f"{missing} connects acknowledged and not in the store")
    click.echo(f"{verdicts.total()} verdicts on {len(verdicts)} of {CONNECTIONS} connections due")
    click.echo(f"the schema: {revisions[0]}, and {revisions[1]} from the first new node on")
    click.echo(f"answered by the former program on the newer one: {dict(beside)}")
    click.echo(f"started on it: {stranger.last_line if refused else 'the former program HAS BEEN'}")
    right = (
        not missing
        and not any(tally.failed or tally.lost or tally.retried for tally in crowd.tallies.values())
        and verdicts.total() == len(verdicts) == CONNECTIONS
        and revisions[0] < revisions[1] == HEAD
        and all(beside[method] for method in METHODS)
        and refused
    )
    click.echo("right" if right else "BROKEN")
    return right


async def _replace(node: Node) -> None:
    """Replace *node* by today's program, which migrates if it is the first."""
    await node.end(signal.SIGTERM)
    node.program = ROOT
    await node.start()


def _revision(url: str) -> str:
    [row] = rows(url, "SELECT version_num FROM alembic_version")
    return str(row["version_num"])


def _answered(node: Node) -> Counter[str]:
    return Counter(line["method"] for line in node.logged("call") if line["outcome"] == "ok")
