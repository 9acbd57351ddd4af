"""Crashes: kill -9 at every step of a refresh, and of the login after an invalid refresh token."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from tests.pds.server import RealServer
from tests.support.bluesky import RealBluesky
from tests.support.failpoints import WHEN
from tests.support.leasing import MINUTE, ROOT, Counted, end_session, environ_of
from tests.support.running import MovedClock, Running, refusal_of, running

EXPIRING = 115 * MINUTE
DEADLINE = 60.0
WRITES = ("session", "verdict")
LEASE = ("store.claim", "platform.refresh", "store.save_session")
CHECK = ("store.claim", "platform.refresh", "store.save_verdict")
LOGIN = (
    "store.claim",
    "platform.refresh",
    "platform.resolve_account",
    "platform.account_status",
    "limits.spend",
    "platform.log_in_again",
    "store.save_session",
    "store.save_verdict",
)


@asynccontextmanager
async def doomed(service: Running, when: str, seam: str) -> AsyncIterator[Running]:
    """Run the service on the store of *service*, which has stopped, until it kills itself."""
    settings = service.settings
    ahead = ("--ahead", str(EXPIRING // 1_000_000))
    command = ("-m", "tests.support.failpoints", when, seam, *ahead, "--warm")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--",
        "serve",
        cwd=ROOT,
        env=environ_of(service.settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            assert process.stdout
            ready = (await process.stdout.readline()).decode().split()
            [address] = [word[5:] for word in ready if word.startswith("grpc=")]
            async with grpc.aio.insecure_channel(address) as channel:
                yield Running(settings, address, channel, service.tenant_id)
            assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def killed(
    pds: RealServer,
    database: Path,
    when: str,
    seam: str,
    *,
    dead_token: bool = False,
    check: bool = False,
) -> tuple[int, int]:
    """Return how many logins and refreshes two calls cost: a lease or a check during which the
    service is killed at *seam*, and the next lease, which must succeed."""
    bluesky = RealBluesky(pds)
    person = await bluesky.person()
    settings = {**bluesky.settings(), "CHECK_HOURS": "24"}
    async with running(database, settings) as service:
        key = (await service.connect(person.handle, person.app_password)).profile_key
        await service.lease(key)
        api_key, leasing_key = service.api_key, service.leasing_key
        if dead_token:
            await end_session(bluesky, service.session())
    spent = await Counted.at(bluesky)
    async with doomed(service, when, seam) as dying:
        dying.api_key, dying.leasing_key = api_key, leasing_key
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (dying.verify(key) if check else dying.lease(key, timeout=DEADLINE))
        refusal = refusal_of(caught.value)
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == ""  # the service had no time to give one
    clock = MovedClock()
    clock.ahead = EXPIRING + MINUTE // 4
    async with running(database, settings, clock) as again:
        lease = await again.lease(key, api_key=leasing_key, timeout=DEADLINE)
        assert lease.access_token == again.session().access_token
        assert lease.account_id == person.did
        [row] = again.rows("SELECT state, reconnect_reason FROM connections")
        assert row["reconnect_reason"] is None
        # the following lease succeeds too, at no cost
        so_far = await spent()
        assert (await again.lease(key, api_key=leasing_key)).access_token == lease.access_token
        assert await spent() == so_far
    return so_far


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    ("call", "seam"),
    [*(("lease", seam) for seam in LEASE), *(("check", seam) for seam in CHECK)],
)
async def test_killed_during_a_refresh(
    pds: RealServer, database: Path, when: str, call: str, seam: str
) -> None:
    """The next lease succeeds without a login: the server repeats an answer that was lost."""
    logins, refreshes = await killed(pds, database, when, seam, check=call == "check")
    assert logins == 0
    lost = [("platform.refresh", "after"), *((f"store.save_{what}", "before") for what in WRITES)]
    assert refreshes == (2 if (seam, when) in lost else 1)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("seam", LOGIN)
async def test_killed_during_a_login(pds: RealServer, database: Path, when: str, seam: str) -> None:
    """The next lease succeeds with at most one more login, needed if the server's answer was
    lost."""
    logins, _ = await killed(pds, database, when, seam, dead_token=True)
    lost = (seam, when) in (("platform.log_in_again", "after"), ("store.save_session", "before"))
    assert logins == (2 if lost else 1)
