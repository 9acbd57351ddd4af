"""The audit trail: the command that reads it, and its completeness after a stop."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from postcore.profiles.v1 import session_service_pb2_grpc as sessions_grpc
from service.app.startup import open_store
from service.domain.model import SECOND
from tests.cli.conftest import TENANT
from tests.cli.home import DEADLINE, Home, Outcome
from tests.support.auditing import lease_row
from tests.support.bluesky import SandboxBluesky

AT = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * SECOND


async def test_the_command_lists_rows(
    home: Home, api_key: str, run_here: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints a line for each of the tenant's leases since the given time, oldest first,
    page after page."""
    monkeypatch.setattr("service.cli.audit.PAGE_SIZE", 3)
    async with open_store(home.settings()) as store:
        await store.audit.add(
            [
                lease_row(
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
        outcome = run_here("audit", "--tenant", *arguments)
        assert (outcome.code, outcome.err) == (0, "")
        rows = [json.loads(line) for line in outcome.out.splitlines()]
        assert all(row["profile_key"] == "prof_a" for row in rows)
        return [row["at"] for row in rows if row["lent"] == "SESSION"]

    lines = [f"2026-01-31T12:00:{number:02}.000000+00:00" for number in range(10)]
    run = asyncio.to_thread  # a command has an event loop of its own
    assert await run(listed, TENANT) == lines
    for since in ("2026-01-31T12:00:07Z", "2026-01-31T12:00:07", "2026-01-31T13:00:07+01:00"):
        assert await run(listed, TENANT, "--since", since) == lines[7:]
    assert await run(listed, TENANT, "--since", "2026-02-01") == []
    assert await run(listed, "ten_nobody") == []
    wrong = await run(run_here, "audit", "--tenant", TENANT, "--since", "yesterday")
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
        assert sum(bool(row.lent) for row in await store.audit.page(TENANT, 0, 0, 2**62, 100)) == 20


@pytest.mark.process
async def test_a_killed_server_loses_at_most_a_second_of_the_audit(
    home: Home, leasing_key: str, sandbox: SandboxBluesky
) -> None:
    """SIGKILL loses at most the last second of leases."""
    await leases_until(home, leasing_key, sandbox, signal.SIGKILL)
    async with open_store(home.settings()) as store:
        assert (
            20
            <= sum(bool(row.lent) for row in await store.audit.page(TENANT, 0, 0, 2**62, 100))
            <= 25
        )


async def test_commands_leave_rows_and_an_export_repeats_none(
    home: Home, run_here: Callable[..., Outcome]
) -> None:
    """Each command that changes something or hands it out; a refused one, too, if it has begun."""
    run = asyncio.to_thread

    def export() -> list[dict[str, str]]:
        lines = run_here("audit", "export", "c").out.splitlines()
        return [json.loads(line) for line in lines]

    tenant = (await run(run_here, "tenants", "create", "A")).out.strip()
    plain = (await run(run_here, "api-keys", "create", "--tenant", tenant)).out.strip()
    key_id = plain.split("_")[2]
    exported = await run(export)
    assert [row["event.action"] for row in exported] == ["tenants create", "api-keys create"]
    assert {row["organization.id"] for row in exported} == {tenant}
    assert exported[1]["user.id"] == key_id
    again = await run(run_here, "audit", "export", "c")
    assert (again.code, again.out) == (0, "")
    await run(run_here, "api-keys", "revoke", key_id)
    await run(run_here, "keyring", "add")
    await run(run_here, "backup", "copy.db")
    await run(run_here, "backup", "copy.db")
    await run(run_here, "migrate")
    await run(run_here, "tenants", "delete", tenant)
    await run(run_here, "tenants", "delete", tenant)
    rest = await run(export)
    assert [(row["event.action"], row.get("event.reason", "OK")) for row in rest] == [
        ("api-keys revoke", "OK"),
        *(("keyring add", "STARTED"), ("keyring add", "OK")),
        *(("backup", "STARTED"), ("backup", "OK"), ("backup", "STARTED"), ("backup", "FAILED")),
        *(("migrate", "STARTED"), ("migrate", "OK")),
        ("tenants delete", "OK"),
    ]
    assert all(row["user.name"] for row in exported + rest)
    everything = await run(run_here, "audit")
    assert len(everything.out.splitlines()) == len(exported + rest)
    assert plain not in everything.out


async def test_a_command_whose_row_cannot_be_written_changes_nothing(
    home: Home, run_here: Callable[..., Outcome]
) -> None:
    with closing(sqlite3.connect(home.database)) as database:
        database.execute("ALTER TABLE audit RENAME TO away")
    before = home.keyring.read_bytes()
    for command in (("keyring", "add"), ("tenants", "create", "A"), ("backup", "copy.db")):
        outcome = await asyncio.to_thread(run_here, *command)
        assert outcome.code == 1, command
        assert "cannot be used" in outcome.err
    assert home.keyring.read_bytes() == before
    assert not (home.folder / "copy.db").exists()
    with closing(sqlite3.connect(home.database)) as database:
        assert database.execute("SELECT COUNT(*) FROM tenants").fetchone() == (0,)
