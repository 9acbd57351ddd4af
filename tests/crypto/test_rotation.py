"""Key rotation beside a running service: no call fails, and every secret opens afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.startup import open_store
from service.crypto.keyring import KeyPurpose, Keyring, create_keyring, new_keys
from service.crypto.rewrap import FIRST
from service.crypto.vault import Vault
from service.domain.model import Scope
from service.domain.records import Purpose
from tests.support.bluesky import SandboxBluesky
from tests.support.live_changes import age, command, done, opened, people, plant, started
from tests.support.rotating import Load, activated, active, sealed_elsewhere, sealed_under, standing
from tests.support.running import Running, refusal_of, running

PLANTED = 1500


@pytest.fixture
async def service(sandbox: SandboxBluesky, database: Path) -> AsyncIterator[Running]:
    budgets = dict.fromkeys(
        ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "100000,100000"
    )
    async with running(database, {**sandbox.settings(), **budgets}) as started:
        yield started


@pytest.mark.slow
async def test_no_call_fails_while_keys_are_rotated(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """Leases, refreshes, connects and reads succeed while a key of each purpose is added and
    activated, and a `seal` key is rewrapped and retired. In the end every secret opens, and a key
    that an API key needs cannot be retired."""
    load = Load(service, await people(service, sandbox, 8))
    of_api_keys = Keyring(service.settings.keyring_file).active(KeyPurpose.API_KEY).key_id
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


@pytest.mark.slow
async def test_a_killed_rewrap_resumes(service: Running) -> None:
    """Killed three times, it leaves rows under both keys, which all open; run to its end, it leaves
    none under the former key."""
    await plant(service, PLANTED)
    secrets, former = opened(service), active(service)
    after = await activated(service)
    left: list[int] = []
    for _ in range(3):
        async with started(service, "keyring", "rewrap") as process, asyncio.timeout(60):
            assert process.stderr
            already = sealed_under(service)[after]
            while sealed_under(service)[after] == already and process.returncode is None:
                await asyncio.sleep(0.005)
            process.kill()
            await process.wait()
        left.append(sealed_under(service)[former])
        assert opened(service) == secrets
    assert any(0 < rows < 2 * PLANTED for rows in left)
    output = (await command(service, "keyring", "rewrap")).err
    assert "all are under the active key" in output
    assert sealed_under(service) == {after: 2 * PLANTED}
    assert opened(service) == secrets


@pytest.mark.process
async def test_a_rewrap_does_not_overwrite_newer_secrets(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """A session refreshed and a password replaced after the rewrap has read them stay; unchanged
    secrets are rewrapped."""
    connected = await people(service, sandbox, 3)
    refreshed, reconnected, unchanged = connected
    after = await activated(service)
    vault = Vault(Keyring(service.settings.keyring_file))
    async with open_store(service.settings) as store:
        read = [
            secret
            for purpose in (Purpose.CREDENTIAL, Purpose.SESSION)
            for secret in await store.secrets.sealed_otherwise(purpose, after, FIRST, 100)
        ]
        assert len(read) == 6
        rewrapped = [(one, vault.rewrap(one.sealed, one.purpose, one.address)) for one in read]
        await service.execute("UPDATE sessions SET refreshed_at = 1")
        token = (await service.lease(refreshed)).access_token
        former = service.session(refreshed)
        newer = (await service.lease(refreshed, rejected=token)).access_token
        person = connected[reconnected]
        sandbox.world.add_app_password(person.did, "another", "zzzz-zzzz-zzzz-zzzz")
        await service.connect(person.handle, "zzzz-zzzz-zzzz-zzzz", profile_key=reconnected)
        assert await store.secrets.replace_unchanged(rewrapped) == 3
        assert await store.secrets.replace_unchanged(rewrapped) == 0
    # access tokens of one second are the same, refresh tokens never
    assert service.session(refreshed).refresh_token != former.refresh_token
    assert service.session(refreshed).access_token == newer
    assert opened(service)[reconnected, "credential"] == "zzzz-zzzz-zzzz-zzzz"
    for table in ("credentials", "sessions"):
        [row] = service.rows(f"SELECT ring_key_id FROM {table} WHERE profile_key = ?", unchanged)
        assert row["ring_key_id"] == after


@pytest.mark.process
async def test_a_rewrapped_session_is_still_renewed(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """A rejected token is renewed although the session's envelope changes at the same time."""
    [key] = await people(service, sandbox, 1)
    token, former = (await service.lease(key)).access_token, service.session(key)
    await service.execute("UPDATE sessions SET refreshed_at = 1")
    await activated(service)
    renewal = asyncio.create_task(service.lease(key, rejected=token, timeout=30))
    await done(service, "keyring", "rewrap")
    await renewal
    # access tokens of one second are the same, refresh tokens never
    assert service.session(key).refresh_token != former.refresh_token


@pytest.mark.process
async def test_secrets_that_do_not_open_are_reported_and_kept(service: Running) -> None:
    """All other secrets are rewrapped, and the former key cannot be retired."""
    await plant(service, 3)
    await service.execute(
        "UPDATE credentials SET envelope = zeroblob(140) WHERE profile_key = 'prof_planted000001'"
    )
    former = active(service)
    after = await activated(service)
    ended = await command(service, "keyring", "rewrap")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("Error: 1 secrets do not open")
    assert "prof_planted000001" in ended.err
    assert sealed_under(service) == {former: 1, after: 5}
    retired = await command(service, "keyring", "retire", former)
    assert "is named by 1 rows" in retired.err


async def test_a_process_with_an_old_keyring_gives_no_verdict(
    service: Running, sandbox: SandboxBluesky, tmp_path: Path
) -> None:
    """A secret under a key that the process lacks is INTERNAL and an error in the log. The
    connection does not change and no login is spent; calls succeed once the key is there."""
    [profile_key] = await people(service, sandbox, 1)
    keyring, newer = service.settings.keyring_file, tmp_path / "newer.json"
    create_keyring(newer, new_keys("2026-01-02T03:04:05+00:00"))
    await sealed_elsewhere(service, Keyring(newer))
    [added] = [key for key in json.loads(newer.read_text())["keys"] if key["purpose"] == "seal"]
    logins, before = sandbox.logins, standing(service)
    with capture_logs() as lines:
        for ask in (service.verify, service.lease):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(profile_key)
            assert refusal_of(caught.value).reason == "INTERNAL"
    assert standing(service) == before
    assert sandbox.logins == logins
    alarms = [line for line in lines if line["event"] == "key not in the keyring"]
    assert {(line["log_level"], line["key_id"]) for line in alarms} == {("error", added["id"])}
    written = json.loads(keyring.read_text())
    written["keys"].append({**added, "state": "previous"})
    draft = keyring.with_name("draft")
    draft.touch(0o600)
    draft.write_text(json.dumps(written))
    draft.rename(keyring)
    assert not (await service.verify(profile_key)).needs_reconnect
    assert (await service.lease(profile_key)).access_token
    assert sandbox.logins == logins


@pytest.mark.process
async def test_tokens_and_idempotency_keys_survive_a_rotation(
    service: Running, sandbox: SandboxBluesky
) -> None:
    """Page tokens and idempotency keys made with the former `token` key stay valid, and that key
    cannot be retired while an idempotency key needs it."""
    former = Keyring(service.settings.keyring_file).active(KeyPurpose.TOKEN).key_id
    person = await sandbox.person()
    first = await service.connect(person.handle, person.app_password, idempotency_key="once")
    await people(service, sandbox, 1)
    request = pb.ListProfilesRequest(page_size=1)
    page = await service.profiles.ListProfiles(request, metadata=service.metadata())
    await activated(service, "token")
    logins = sandbox.logins
    again = await service.connect(person.handle, person.app_password, idempotency_key="once")
    assert (again, sandbox.logins) == (first, logins)
    request.page_token = page.next_page_token
    rest = await service.profiles.ListProfiles(request, metadata=service.metadata())
    assert [profile.profile_key for profile in rest.profiles] != [first.profile_key]
    retired = await command(service, "keyring", "retire", former)
    assert "is named by 1 rows; those are idempotency keys" in retired.err


@pytest.mark.process
async def test_a_revoked_key_is_rejected_without_its_keyring_key(service: Running) -> None:
    """It is INVALID_API_KEY although the keyring key that could check it was retired."""
    former = Keyring(service.settings.keyring_file).active(KeyPurpose.API_KEY).key_id
    plain, key_id = await service.new_key()
    await activated(service, "api_key")
    await service.execute("UPDATE api_keys SET revoked_at = 1 WHERE ring_key_id = ?", former)
    await done(service, "keyring", "retire", former)
    refused = await service.refused("a.test", "abcd-efgh-ijkl-mnop", api_key=plain)
    assert refused.reason == "INVALID_API_KEY"
    assert key_id in plain
