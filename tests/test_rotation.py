"""Rotation beside a running service: no call fails, nothing newer is overwritten, all opens."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app import open_store
from service.model import DAY, Scope, Session
from service.ports import SystemClock
from service.records import Purpose, SavedLogin, SealContext, Sealed
from service.rewrap import FIRST
from service.ring import KeyPurpose, Ring, create_ring, new_keys
from service.vault import Vault
from tests.bluesky import Person, SandboxBluesky
from tests.running import Running, refusal_of, running

PLANTED = 1500


@pytest.fixture
async def service(sandbox: SandboxBluesky, database: Path) -> AsyncIterator[Running]:
    budgets = dict.fromkeys(
        ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "100000,100000"
    )
    async with running(database, {**sandbox.settings(), **budgets}) as started:
        yield started


@dataclass
class Command:
    """How a command beside the service has ended."""

    code: int
    out: str
    err: str


@asynccontextmanager
async def started(service: Running, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {name: value for name, value in os.environ.items() if "POSTCORE_" not in name}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **kept,
            "POSTCORE_DATABASE_URL": service.settings.database_url,
            "POSTCORE_KEYRING_FILE": str(service.settings.keyring_file),
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def command(service: Running, *arguments: str) -> Command:
    async with started(service, *arguments) as process, asyncio.timeout(60):
        out, err = await process.communicate()
        assert process.returncode is not None
    return Command(process.returncode, out.decode(), err.decode())


async def done(service: Running, *arguments: str) -> str:
    """What a command prints that has to work."""
    ended = await command(service, *arguments)
    assert ended.code == 0, ended
    return ended.out.strip()


def age(ring: Path) -> None:
    """Have all keys be in their states for long, so that no test waits for that."""
    written = json.loads(ring.read_text())
    for key in written["keys"]:
        key["since"] = "2026-01-02T03:04:05+00:00"
    draft = ring.with_name("aged")
    draft.touch(0o600)
    draft.write_text(json.dumps(written))
    draft.rename(ring)


def active(service: Running) -> str:
    return Ring(service.settings.keyring_file).active(KeyPurpose.SEAL).key_id


async def activated(service: Running, purpose: str = "seal") -> str:
    """The id of a key that is new and active."""
    added = await done(service, "keyring", "add", "--purpose", purpose)
    await done(service, "keyring", "activate", added, "--at-once")
    age(service.settings.keyring_file)
    return added


def sealed_under(service: Running) -> Counter[str]:
    """How many secrets each key seals."""
    return Counter(
        row["ring_key_id"]
        for row in service.rows(
            "SELECT ring_key_id FROM credentials UNION ALL SELECT ring_key_id FROM sessions"
        )
    )


def opened(service: Running) -> dict[tuple[str, str], str]:
    """Every secret of the store, by profile and purpose; raises where one does not open."""
    vault = Vault(Ring(service.settings.keyring_file))
    found = {}
    for purpose, table in ((Purpose.CREDENTIAL, "credentials"), (Purpose.SESSION, "sessions")):
        for row in service.rows(
            "SELECT c.tenant_id, c.profile_key, c.platform, c.account_id, c.origin, c.generation,"
            f" s.ring_key_id, s.envelope FROM connections c JOIN {table} s"
            " USING (tenant_id, profile_key, platform)"
        ):
            sealed = Sealed(row.pop("ring_key_id"), row.pop("envelope"))
            found[row["profile_key"], purpose.value] = vault.open(
                sealed, purpose, SealContext(**row)
            )
    return found


async def plant(service: Running, count: int) -> None:
    """So many connections, as a login would have left them."""
    vault, now = Vault(Ring(service.settings.keyring_file)), SystemClock().now()

    def saved(number: int) -> SavedLogin:
        context = SealContext(
            service.tenant_id,
            f"prof_planted{number:06}",
            "bluesky",
            f"did:plc:{number:024}",
            "https://planted.example",
            number,
        )
        return SavedLogin(
            context,
            f"u{number}.example",
            vault.seal(f"password {number}", Purpose.CREDENTIAL, context),
            vault.seal_session(Session("access", f"refresh {number}", now + DAY), context),
            now + DAY,
            now + DAY,
            create_profile=True,
            reservation=None,
            at=now,
        )

    async with open_store(service.settings) as store:
        for start in range(0, count, 500):
            some = range(start, min(start + 500, count))
            await asyncio.gather(*(store.save_login(saved(number)) for number in some))


class Load:
    """Calls of every kind, one after the other in several tasks, and what they ended with."""

    def __init__(self, service: Running, people: dict[str, Person]) -> None:
        self.failed: list[str] = []
        self.answered: Counter[str] = Counter()
        self._service = service
        self._people = people

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        kinds = (self._lease, self._refresh, self._reconnect, self._read)
        # each on connections of its own: who connects anew may well overtake a refresh
        tasks = [
            asyncio.create_task(self._again_and_again(kind, *one))
            for kind, one in zip(cycle(kinds), self._people.items(), strict=False)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _again_and_again(
        self, kind: Callable[[str, Person], Awaitable[None]], profile_key: str, person: Person
    ) -> None:
        while True:
            try:
                await kind(profile_key, person)
                self.answered[kind.__name__] += 1
            except grpc.aio.AioRpcError as error:
                self.failed.append(f"{kind.__name__}: {refusal_of(error)}")
            await asyncio.sleep(0.02)

    async def _lease(self, profile_key: str, _: Person) -> None:
        await self._service.lease(profile_key, timeout=30)

    async def _refresh(self, profile_key: str, _: Person) -> None:
        # as if the last refresh were long ago; in a thread, since the service's own writer needs
        # this one to go on
        forget = "UPDATE sessions SET refreshed_at = 1 WHERE profile_key = ?"
        await asyncio.to_thread(self._service.execute, forget, profile_key)
        token = (await self._service.lease(profile_key, timeout=30)).access_token
        await self._service.lease(profile_key, rejected=token, timeout=30)

    async def _reconnect(self, profile_key: str, person: Person) -> None:
        await self._service.connect(
            person.handle, person.app_password, profile_key=profile_key, timeout=30
        )

    async def _read(self, profile_key: str, _: Person) -> None:
        await self._service.profiles.GetProfile(
            pb.GetProfileRequest(profile_key=profile_key),
            metadata=self._service.metadata(),
            timeout=30,
        )


async def people(service: Running, sandbox: SandboxBluesky, count: int) -> dict[str, Person]:
    """So many connected accounts, by profile."""
    found = {}
    for _ in range(count):
        person = await sandbox.person()
        reply = await service.connect(person.handle, person.app_password)
        found[reply.profile_key] = person
    return found


async def test_no_call_fails_while_keys_are_rotated(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """Add, activate, rewrap and retire beside leases, refreshes, connects and reads: all are
    answered, and at the end every secret opens. So for keys of the other purposes; one that an API
    key needs stays."""
    load = Load(service, await people(service, sandbox, 8))
    of_api_keys = Ring(service.settings.keyring_file).active(KeyPurpose.API_KEY).key_id
    async with load.under_way():
        before = active(service)
        after = await done(service, "keyring", "add")
        await done(service, "keyring", "activate", after, "--at-once")
        await done(service, "keyring", "rewrap")
        age(service.settings.keyring_file)
        await done(service, "keyring", "retire", before)
        assert set(sealed_under(service)) == {after}
        for purpose in ("api_key", "token"):
            await activated(service, purpose)
            await service.new_key(Scope.PROFILES_READ)
    assert load.failed == []
    assert min(load.answered.values()) > 3
    assert len(load.answered) == 4
    assert len(opened(service)) == 16
    named = await command(service, "keyring", "retire", of_api_keys)
    assert named.code == 1
    assert "revoke them first" in named.err


async def test_a_rewrap_that_is_killed_goes_on(service: Running) -> None:
    """Cut short again and again, it leaves rows of the one key and the other, all of which open;
    run to its end, it has left none of the former's."""
    await plant(service, PLANTED)
    secrets, former = opened(service), active(service)
    after = await activated(service)
    seen = set()
    for _ in range(3):
        async with started(service, "keyring", "rewrap") as process, asyncio.timeout(60):
            assert process.stderr
            already = sealed_under(service)[after]
            while sealed_under(service)[after] == already and process.returncode is None:
                await asyncio.sleep(0.005)
            process.kill()
            await process.wait()
        seen.add(sealed_under(service)[former])
        assert opened(service) == secrets
    assert 0 < min(seen) < 2 * PLANTED
    assert len(seen) == 3
    told = (await command(service, "keyring", "rewrap")).err
    assert "all are under the active key" in told
    assert sealed_under(service) == {after: 2 * PLANTED}
    assert opened(service) == secrets


async def test_what_is_newer_is_not_overwritten(service: Running, sandbox: SandboxBluesky) -> None:
    """A session that was refreshed, and a password that was replaced, after the rewrap has read
    them stay; the connection that was left alone is rewrapped."""
    connected = await people(service, sandbox, 3)
    refreshed, reconnected, alone = connected
    after = await activated(service)
    vault = Vault(Ring(service.settings.keyring_file))
    async with open_store(service.settings) as store:
        read = [
            secret
            for purpose in (Purpose.CREDENTIAL, Purpose.SESSION)
            for secret in await store.sealed_otherwise(purpose, after, FIRST, 100)
        ]
        assert len(read) == 6
        resealed = [(one, vault.reseal(one.sealed, one.purpose, one.context)) for one in read]
        service.execute("UPDATE sessions SET refreshed_at = 1")
        token = (await service.lease(refreshed)).access_token
        newer = (await service.lease(refreshed, rejected=token)).access_token
        person = connected[reconnected]
        sandbox.world.add_app_password(person.did, "another", "zzzz-zzzz-zzzz-zzzz")
        await service.connect(person.handle, "zzzz-zzzz-zzzz-zzzz", profile_key=reconnected)
        assert await store.rewrap(resealed) == 3
        assert await store.rewrap(resealed) == 0
    assert newer != token
    assert service.session(refreshed).access_token == newer
    assert opened(service)[reconnected, "credential"] == "zzzz-zzzz-zzzz-zzzz"
    for table in ("credentials", "sessions"):
        [row] = service.rows(f"SELECT ring_key_id FROM {table} WHERE profile_key = ?", alone)
        assert row["ring_key_id"] == after


async def test_a_rewrapped_session_is_still_renewed(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """A token that its server refuses is replaced, though the envelope has changed meanwhile."""
    [key] = await people(service, sandbox, 1)
    token = (await service.lease(key)).access_token
    service.execute("UPDATE sessions SET refreshed_at = 1")
    await activated(service)
    renewal = asyncio.create_task(service.lease(key, rejected=token, timeout=30))
    await done(service, "keyring", "rewrap")
    assert (await renewal).access_token != token


async def test_secrets_that_do_not_open_are_told_and_left(service: Running) -> None:
    """The others are rewrapped all the same; the former key cannot be retired."""
    await plant(service, 3)
    service.execute(
        "UPDATE credentials SET envelope = zeroblob(140) WHERE profile_key = 'prof_planted000001'"
    )
    former = active(service)
    after = await activated(service)
    ended = await command(service, "keyring", "rewrap")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("Error: 1 secrets do not open")
    assert "prof_planted000001" in ended.err
    assert sealed_under(service) == {former: 1, after: 5}
    refused = await command(service, "keyring", "retire", former)
    assert "is named by 1 rows" in refused.err


async def test_a_process_with_an_old_ring_gives_no_verdict(
    service: Running, sandbox: SandboxBluesky, tmp_path: Path
) -> None:
    """What names a key that it does not have is INTERNAL and an alarm in the log; the connection
    stays as it was, no login is spent, and all is well once the key is there."""
    [key] = await people(service, sandbox, 1)
    ring, other = service.settings.keyring_file, tmp_path / "other.json"
    create_ring(other, new_keys("2026-01-02T03:04:05+00:00"))
    old, elsewhere = ring.read_text(), json.loads(other.read_text())
    unknown = next(entry for entry in elsewhere["keys"] if entry["purpose"] == "seal")
    both = json.loads(old)
    both["keys"].append({**unknown, "state": "previous"})
    for table in ("credentials", "sessions"):
        service.execute(f"UPDATE {table} SET ring_key_id = ?", unknown["id"])
    logins = sandbox.logins
    before = service.rows("SELECT * FROM connections"), service.rows("SELECT * FROM events")
    with capture_logs() as lines:
        for ask in (service.verify, service.lease):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(key)
            assert refusal_of(caught.value).reason == "INTERNAL"
    assert (
        service.rows("SELECT * FROM connections"),
        service.rows("SELECT * FROM events"),
    ) == before
    assert sandbox.logins == logins
    alarms = [line for line in lines if line["event"] == "key not in the ring"]
    assert {(line["log_level"], line["key_id"]) for line in alarms} == {("error", unknown["id"])}
    # now a ring that has it: the tag fails, since the rows were only said to be its, and so this
    # is a verdict
    draft = ring.with_name("draft")
    draft.touch(0o600)
    draft.write_text(json.dumps(both))
    draft.rename(ring)
    await service.verify(key)
    [row] = service.rows("SELECT state, reconnect_reason FROM connections")
    assert row["reconnect_reason"] == "CREDENTIAL_UNREADABLE"


async def test_a_revoked_key_is_refused_when_its_ring_key_is_gone(service: Running) -> None:
    """INVALID_API_KEY, as before: it takes no key of the ring to know that."""
    former = Ring(service.settings.keyring_file).active(KeyPurpose.API_KEY).key_id
    plain, key_id = await service.new_key()
    await activated(service, "api_key")
    service.execute("UPDATE api_keys SET revoked_at = 1 WHERE ring_key_id = ?", former)
    await done(service, "keyring", "retire", former)
    refused = await service.refused("a.test", "abcd-efgh-ijkl-mnop", api_key=plain)
    assert refused.reason == "INVALID_API_KEY"
    assert key_id in plain
