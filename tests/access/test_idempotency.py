"""Idempotency keys: a repeated request gets the first reply, without a login."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import pytest

from service.access.idempotency import Idempotency
from service.crypto.keyring import Keyring, create_keyring, new_keys
from service.crypto.tokens import Tokens
from service.domain.clock import SystemClock
from service.domain.errors import ServiceUnavailable
from service.domain.model import SECOND, Caller
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.runtime.tasks import OwnedTasks
from service.storage.connections import SqlConnections
from service.storage.idempotency import SqlIdempotency
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore
from tests.support.bluesky import CREATE, Bluesky, SandboxBluesky
from tests.support.engines import on_both
from tests.support.running import Running, running

engine = on_both


async def test_a_repeated_request_gets_the_first_reply(service: Running, bluesky: Bluesky) -> None:
    """There is no second login and no second profile, even if the handle is typed differently."""
    person = await bluesky.person()
    before = (await bluesky.counts()).get(CREATE, 0)
    first = await service.connect(person.handle, person.app_password, idempotency_key="k1")
    again = await service.connect(
        f" @{person.handle.upper()}", person.app_password, idempotency_key="k1"
    )
    assert again == first
    assert (await bluesky.counts())[CREATE] == before + 1
    assert len(service.rows("SELECT * FROM profiles")) == 1
    other = await service.connect(person.handle, person.app_password, idempotency_key="k2")
    assert other.profile_key != first.profile_key


async def test_a_reply_of_a_newer_version_is_repeated(service: Running, bluesky: Bluesky) -> None:
    """One that holds more than this version knows."""
    person = await bluesky.person()
    first = await service.connect(person.handle, person.app_password, idempotency_key="k")
    [row] = service.rows("SELECT reply FROM idempotency_records")
    newer = json.dumps([*json.loads(row["reply"]), "later", None])
    await service.execute("UPDATE idempotency_records SET reply = ?", newer)
    assert await service.connect(person.handle, person.app_password, idempotency_key="k") == first


async def test_a_different_request_with_the_key_is_rejected(
    service: Running, bluesky: Bluesky
) -> None:
    """A different password, handle or profile is IDEMPOTENCY_KEY_REUSED, without a login."""
    person, other = await bluesky.person(), await bluesky.person()
    first = await service.connect(person.handle, person.app_password, idempotency_key="k")
    before = (await bluesky.counts())[CREATE]
    for refusal in (
        await service.refused(person.handle, "abcd-efgh-ijkl-mnop", idempotency_key="k"),
        await service.refused(other.handle, person.app_password, idempotency_key="k"),
        await service.refused(
            person.handle, person.app_password, profile_key=first.profile_key, idempotency_key="k"
        ),
    ):
        assert refusal.reason == "IDEMPOTENCY_KEY_REUSED"
    assert (await bluesky.counts())[CREATE] == before


async def test_a_call_under_way_is_waited_for(service: Running, bluesky: Bluesky) -> None:
    """Ten equal calls at once make one login and one profile, and get equal replies."""
    person = await bluesky.person()
    before = (await bluesky.counts()).get(CREATE, 0)
    replies = await asyncio.gather(
        *(
            service.connect(person.handle, person.app_password, idempotency_key="k")
            for _ in range(10)
        )
    )
    assert len({reply.profile_key for reply in replies}) == 1
    assert (await bluesky.counts())[CREATE] == before + 1


async def test_waiting_calls_poll_ever_less_often(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses grow from 0.05 s to about 1 s, so that waiting calls do not overload the store."""
    create_keyring(tmp_path / "keyring.json", new_keys("test"))
    store, pauses = SqlStore(await SqliteEngine.open(database)), list[float]()
    tokens = Tokens(Keyring(tmp_path / "keyring.json"))
    idempotency = Idempotency(store.idempotency, tokens, SystemClock(), OwnedTasks(), 45 * SECOND)
    caller = Caller("ten_a", "key", frozenset(), 0)
    first, _ = await idempotency.claim(caller, "ConnectProfile", "k", ["request"])
    assert first is not None

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 10:
            await store.idempotency.release(first)

    monkeypatch.setattr("service.access.idempotency.sleep", noted)
    second, reply = await idempotency.claim(caller, "ConnectProfile", "k", ["request"])
    assert second is not None
    assert reply is None
    # jitter shortens each pause by up to a quarter
    assert all(after > 0.74 * before for before, after in pairwise(pauses))
    assert pauses[0] <= 0.1
    assert 0.5 <= pauses[-1] <= 1
    await store.close()


async def test_a_failure_is_not_kept(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """After an error the key is free, for the same request and for a corrected one."""
    person = await sandbox.person()
    await sandboxed.refused(person.handle, "abcd-efgh-ijkl-mnop", idempotency_key="k")
    await sandboxed.refused("no-account.test", person.app_password, idempotency_key="k")
    assert sandboxed.rows("SELECT * FROM idempotency_records") == []
    await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")


async def test_tenants_do_not_share_keys(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """Two tenants can use equal keys for different requests."""
    person = await sandbox.person()
    stranger, _ = await sandboxed.new_key(tenant_id=await sandboxed.new_tenant())
    mine = await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    theirs = await sandboxed.connect(
        person.handle, person.app_password, idempotency_key="k", api_key=stranger
    )
    assert mine.profile_key != theirs.profile_key


async def test_a_key_expires_after_a_day(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """A key is kept for 24 hours, then free for any request, and its old record is deleted."""
    person = await sandbox.person()
    first = await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    [record] = sandboxed.rows("SELECT * FROM idempotency_records")
    [connection] = sandboxed.rows("SELECT * FROM connections")
    assert record["expires_at"] - connection["connected_at"] == 24 * 3600 * 1_000_000
    await sandboxed.execute("UPDATE idempotency_records SET expires_at = expires_at - 86400000001")
    again = await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    assert again.profile_key != first.profile_key
    assert len(sandboxed.rows("SELECT * FROM idempotency_records")) == 1


async def test_a_reservation_expires_after_a_crash(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """A reservation of a killed process expires."""
    person = await sandbox.person()
    await sandboxed.execute(
        "INSERT INTO idempotency_records (tenant_id, method, idempotency_key, holder, ring_key_id,"
        " digest, expires_at) VALUES (?, 'ConnectProfile', 'k', 'gone', 'x', ?, 1)",
        sandboxed.tenant_id,
        b"",
    )
    await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")


async def test_a_start_frees_reservations_left_by_a_crash(
    sandbox: SandboxBluesky, database: Path
) -> None:
    """It frees them at once if no other server uses the store; replies of earlier requests stay."""
    person = await sandbox.person()
    async with running(database, sandbox.settings()) as service:
        done = await service.connect(person.handle, person.app_password, idempotency_key="done")
        await service.execute(
            "INSERT INTO idempotency_records (tenant_id, method, idempotency_key, holder,"
            " ring_key_id, digest, expires_at)"
            " SELECT tenant_id, method, 'k', 'gone', ring_key_id, digest, expires_at"
            " FROM idempotency_records"
        )
        key = service.api_key
    spent = sandbox.logins
    async with running(database, sandbox.settings()) as service:
        again = await service.connect(
            person.handle, person.app_password, idempotency_key="done", api_key=key
        )
        assert (again, sandbox.logins) == (done, spent)
        made = await service.connect(
            person.handle, person.app_password, idempotency_key="k", api_key=key
        )
        assert made.profile_key != done.profile_key
        kept = service.rows("SELECT idempotency_key FROM idempotency_records ORDER BY 1")
    assert [row["idempotency_key"] for row in kept] == ["done", "k"]


async def test_the_record_holds_no_secret(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """The record holds an HMAC of the request."""
    person = await sandbox.person()
    await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    [record] = sandboxed.rows("SELECT * FROM idempotency_records")
    assert len(record["digest"]) == 32
    assert person.app_password not in repr(record)


@pytest.mark.parametrize("idempotency_key", ["", "k"])
async def test_a_session_that_cannot_be_saved_is_ended(
    sandboxed: Running,
    sandbox: SandboxBluesky,
    monkeypatch: pytest.MonkeyPatch,
    idempotency_key: str,
) -> None:
    """If the store fails: SERVICE_UNAVAILABLE, the session is deleted, and the key is released."""

    async def unavailable(*_: object) -> object:
        raise ServiceUnavailable

    person = await sandbox.person()
    with monkeypatch.context() as patched:
        patched.setattr(SqlConnections, "save_login", unavailable)
        refusal = await sandboxed.refused(
            person.handle, person.app_password, idempotency_key=idempotency_key
        )
    assert refusal.reason == "SERVICE_UNAVAILABLE"
    assert refusal.retry_after == 1
    async with asyncio.timeout(5):
        while not sandbox.server.counts["/xrpc/com.atproto.server.deleteSession"]:
            await asyncio.sleep(0.01)
    assert sandboxed.rows("SELECT * FROM profiles") == []
    await sandboxed.connect(person.handle, person.app_password, idempotency_key=idempotency_key)


async def test_a_store_failure_does_not_hide_the_platforms_answer(
    sandboxed: Running, sandbox: SandboxBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password is reported as one, although its idempotency key cannot be released."""

    async def unavailable(*_: object) -> object:
        raise ServiceUnavailable

    person = await sandbox.person()
    monkeypatch.setattr(SqlIdempotency, "release", unavailable)
    refusal = await sandboxed.refused(person.handle, "abcd-efgh-ijkl-mnop", idempotency_key="k")
    assert refusal.metadata["cause"] == "REJECTED_BY_PLATFORM"


async def test_a_call_cancelled_before_the_login_frees_its_key(
    sandboxed: Running, sandbox: SandboxBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No login is spent, and the key is free again."""
    person = await sandbox.person()
    entered = asyncio.Event()
    identify = BlueskyPlatform.identify

    async def slow(self: BlueskyPlatform, credentials: object) -> object:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(BlueskyPlatform, "identify", slow)
    waiting = asyncio.create_task(
        sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    )
    await entered.wait()
    assert len(sandboxed.rows("SELECT * FROM idempotency_records")) == 1
    waiting.cancel()
    async with asyncio.timeout(5):
        while sandboxed.rows("SELECT * FROM idempotency_records"):
            await asyncio.sleep(0.01)
    assert sandbox.logins == 0
    monkeypatch.setattr(BlueskyPlatform, "identify", identify)
    await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")


async def test_a_call_cancelled_during_the_login_is_completed(
    sandboxed: Running, sandbox: SandboxBluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profile, connection and secrets are stored, and a retry gets them without a login."""
    person = await sandbox.person()
    entered, proceed = asyncio.Event(), asyncio.Event()
    log_in = BlueskyPlatform.log_in

    async def slow(self: BlueskyPlatform, *args: object) -> object:
        login = await log_in(self, *args)  # type: ignore[arg-type]
        entered.set()
        await proceed.wait()
        return login

    monkeypatch.setattr(BlueskyPlatform, "log_in", slow)
    waiting = asyncio.create_task(
        sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    )
    await entered.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    proceed.set()
    async with asyncio.timeout(5):
        while not sandboxed.rows("SELECT * FROM connections"):
            await asyncio.sleep(0.01)
    for table in ("profiles", "connections", "credentials", "sessions"):
        assert len(sandboxed.rows(f"SELECT * FROM {table}")) == 1
    again = await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    assert again.profile_key == sandboxed.rows("SELECT * FROM profiles")[0]["profile_key"]
    assert sandbox.logins == 1
