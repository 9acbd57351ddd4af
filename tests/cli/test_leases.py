"""The audit of leases: the command that reads it, and its completeness after a stop."""

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from postcore.profiles.v1 import session_service_pb2_grpc as sessions_grpc
from service.app.startup import open_store
from service.domain.model import SECOND
from service.domain.records import AuditedLease
from tests.cli.conftest import TENANT
from tests.cli.home import DEADLINE, Home, Outcome
from tests.support.bluesky import SandboxBluesky

AT = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * SECOND
LINE = "T12:00:{:02}+00:00\tkey\tprof_a\tbluesky\tdid:plc:a\t2026-01-31T14:00:00+00:00\tSESSION"


async def test_the_command_lists_leases(
    home: Home, api_key: str, run_here: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints a line for each of the tenant's leases since the given time, oldest first,
    page after page."""
    monkeypatch.setattr("service.cli.leases.PAGE_SIZE", 3)
    async with open_store(home.settings()) as store:
        await store.lease_audit.add_leases(
            [
                AuditedLease(
                    AT + number * SECOND,
                    tenant,
                    "key",
                    "prof_a",
                    "bluesky",
                    "did:plc:a",
                    AT + 7200 * SECOND,
                )
                for number in reversed(range(10))
                for tenant in (TENANT, "ten_other")
            ]
        )

    def listed(*arguments: str) -> list[str]:
        outcome = run_here("leases", "--tenant", *arguments)
        assert (outcome.code, outcome.err) == (0, "")
        return outcome.out.splitlines()

    lines = ["2026-01-31" + LINE.format(number) for number in range(10)]
    run = asyncio.to_thread  # a command has an event loop of its own
    assert await run(listed, TENANT) == lines
    for since in ("2026-01-31T12:00:07Z", "2026-01-31T12:00:07", "2026-01-31T13:00:07+01:00"):
        assert await run(listed, TENANT, "--since", since) == lines[7:]
    assert await run(listed, TENANT, "--since", "2026-02-01") == []
    assert await run(listed, "ten_nobody") == []
    wrong = await run(run_here, "leases", "--tenant", TENANT, "--since", "yesterday")
    assert wrong.code == 2
    assert "ISO 8601" in wrong.err


async def leases_until(
    home: Home, key: str, sandbox: SandboxBluesky, number: signal.Signals
) -> None:
    """Take twenty leases from a server, and send it the signal; before SIGKILL, wait a second and
    take five more."""
    person = await sandbox.person()
    with home.serve(**sandbox.settings()) as server:
        async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(server.address) as channel:
            metadata = (("x-api-key", key),)
            credentials = pb.Credentials(handle=person.handle, app_password=person.app_password)
            connected = await profiles_grpc.ProfileServiceStub(channel).ConnectProfile(
                pb.ConnectProfileRequest(platform="bluesky", credentials=credentials),
                metadata=metadata,
            )
            request = sessions_pb.LeaseSessionRequest(
                profile_key=connected.profile_key, platform="bluesky"
            )
            sessions = sessions_grpc.SessionServiceStub(channel)
            for _ in range(20):
                await sessions.LeaseSession(request, metadata=metadata)
            if number is signal.SIGKILL:
                # leases older than a second are written
                await asyncio.sleep(1)
                for _ in range(5):
                    await sessions.LeaseSession(request, metadata=metadata)
        await asyncio.to_thread(server.end, number)


@pytest.mark.process
async def test_a_stopped_server_leaves_the_whole_audit(
    home: Home, leasing_key: str, sandbox: SandboxBluesky
) -> None:
    """SIGTERM loses no lease."""
    await leases_until(home, leasing_key, sandbox, signal.SIGTERM)
    async with open_store(home.settings()) as store:
        assert len(await store.lease_audit.leases(TENANT, 0, 100)) == 20


@pytest.mark.process
async def test_a_killed_server_loses_at_most_a_second_of_the_audit(
    home: Home, leasing_key: str, sandbox: SandboxBluesky
) -> None:
    """SIGKILL loses at most the last second of leases."""
    await leases_until(home, leasing_key, sandbox, signal.SIGKILL)
    async with open_store(home.settings()) as store:
        assert 20 <= len(await store.lease_audit.leases(TENANT, 0, 100)) <= 25
