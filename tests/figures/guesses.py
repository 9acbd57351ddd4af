"""Guesses: wrong passwords for one account from many tenants, while its owner connects."""

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from postcore.profiles.v1 import profile_pb2
from service.storage.migrations import migrate_apart
from tests.conftest import tool
from tests.pds.server import RealServer
from tests.support.bluesky import CREATE, Bluesky, RealBluesky, SandboxBluesky
from tests.support.leasing import end_session
from tests.support.running import Running, running

TENANTS = 50
AT_ONCE = 20


@dataclass(frozen=True)
class Guessed:
    """The refusals of the guesses, and the logins that reached the server, including the
    owner's."""

    reasons: Counter[str]
    logins: int


async def guess(service: Running, bluesky: Bluesky, count: int) -> Guessed:
    """Make *count* guesses. The owner connects in between and afterwards.

    At the end the owner's session is dead and a check needs a login; each of these must succeed.
    """
    before = (await bluesky.counts()).get(CREATE, 0)
    person = await bluesky.person()
    reply = await service.connect(person.handle, person.app_password)
    keys = [
        (await service.new_key(tenant_id=await service.new_tenant()))[0] for _ in range(TENANTS)
    ]
    wide = asyncio.Semaphore(AT_ONCE)

    async def guess_once(number: int) -> str:
        async with wide:
            refusal = await service.refused(
                person.handle, "abcd-efgh-ijkl-mnop", api_key=keys[number % TENANTS], timeout=60
            )
            return refusal.reason

    async def owner() -> None:
        again = await service.connect(
            person.handle, person.app_password, profile_key=reply.profile_key, timeout=60
        )
        assert again == reply

    reasons, _ = await asyncio.gather(
        asyncio.gather(*(guess_once(number) for number in range(count))), owner()
    )
    await owner()
    await end_session(bluesky, service.session(reply.profile_key))
    connection = await service.verify(reply.profile_key)
    assert connection.state == profile_pb2.CONNECTION_STATE_HEALTHY
    return Guessed(Counter(reasons), (await bluesky.counts())[CREATE] - before)


async def table(count: int = 10_000) -> bool:
    """Print the figure for sandbox and real server; return whether at most 10 logins arrived."""
    right = True
    async with AsyncExitStack() as stack:
        real = await RealServer.start(tool("tests/pds/install"), login_floor=False)
        await stack.enter_async_context(real)
        sandbox = await stack.enter_async_context(SandboxBluesky.started())
        for name, bluesky in (("sandbox", sandbox), ("real server", RealBluesky(real))):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            database = Path(folder) / "postcore.db"
            assert migrate_apart(f"sqlite:///{database}")
            async with running(database, bluesky.settings()) as service:
                guessed = await guess(service, bluesky, count)
            right &= guessed.logins <= 10
            click.echo(
                f"{name}: {count} guesses of {TENANTS} tenants: {dict(guessed.reasons)}; the owner "
                f"connected and was verified; {guessed.logins} logins at the server, of 10 at most"
            )
    return right
