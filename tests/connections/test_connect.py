"""ConnectProfile through the stub, on the sandbox and on the real Bluesky server."""

import asyncio
import re

import grpc
import pytest
from structlog.testing import capture_logs

from service.app.startup import egress_context
from service.domain.clock import SystemClock
from service.domain.errors import AccountInactive
from service.domain.model import Credentials
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.runtime.tasks import OwnedTasks
from service.sandbox.faults import Hang
from service.settings import Settings
from tests.support.bluesky import CREATE, SESSION, Bluesky, SandboxBluesky, is_live
from tests.support.running import Refusal, Running

DELETE = f"{SESSION}deleteSession"


async def test_a_connect_without_a_profile_key_creates_a_profile(
    service: Running, bluesky: Bluesky
) -> None:
    """The reply names the new profile, the platform and the account."""
    person = await bluesky.person()
    reply = await service.connect(person.handle, person.app_password)
    assert re.fullmatch(r"prof_[a-z0-9]{16}", reply.profile_key)
    assert (reply.platform, reply.username) == ("bluesky", person.handle)
    [row] = service.rows("SELECT * FROM connections")
    assert row["account_id"] == person.did
    assert row["origin"] == bluesky.origin
    assert row["state"] == "HEALTHY"
    assert row["tenant_id"] == service.tenant_id


async def test_a_reconnect_replaces_the_secrets(service: Running, bluesky: Bluesky) -> None:
    """The profile and its single row stay, with new secrets of a new generation. The replaced
    session is ended at the server."""
    person = await bluesky.person()
    first = await service.connect(person.handle, person.app_password)
    before = service.rows("SELECT * FROM credentials JOIN connections USING (profile_key)")
    session = service.session().refresh_token
    again = await service.connect(person.handle, person.app_password, profile_key=first.profile_key)
    assert again == first
    after = service.rows("SELECT * FROM credentials JOIN connections USING (profile_key)")
    assert len(before) == len(after) == 1
    assert before[0]["generation"] != after[0]["generation"]
    assert before[0]["envelope"] != after[0]["envelope"]
    assert before[0]["connected_at"] == after[0]["connected_at"]
    async with asyncio.timeout(5):
        while await is_live(bluesky.origin, session):
            await asyncio.sleep(0.02)
    assert await is_live(bluesky.origin, service.session().refresh_token)


async def test_another_account_is_refused_before_a_login(
    service: Running, bluesky: Bluesky
) -> None:
    """A profile cannot change its account: another one is PROFILE_ALREADY_EXISTS, without a
    login."""
    person, other = await bluesky.person(), await bluesky.person()
    profile = await service.connect(person.handle, person.app_password)
    before = service.rows("SELECT * FROM credentials"), await logins(bluesky)
    refusal = await service.refused(
        other.handle, other.app_password, profile_key=profile.profile_key
    )
    assert refusal == Refusal(
        grpc.StatusCode.ALREADY_EXISTS,
        "PROFILE_ALREADY_EXISTS",
        "Profile for this platform already exists",
        {"platform": "bluesky"},
    )
    assert before == (service.rows("SELECT * FROM credentials"), await logins(bluesky))


async def test_wrong_and_revoked_passwords_are_rejected_by_the_platform(
    service: Running, bluesky: Bluesky
) -> None:
    """Each costs one login and stores nothing."""
    person = await bluesky.person()
    rejected = Refusal(
        grpc.StatusCode.UNAUTHENTICATED,
        "INVALID_CREDENTIALS",
        "Invalid Bluesky credentials",
        {"platform": "bluesky", "cause": "REJECTED_BY_PLATFORM"},
        help_url="https://bsky.app/settings/app-passwords",
    )
    assert await service.refused(person.handle, "abcd-efgh-ijkl-mnop") == rejected
    await bluesky.revoke(person)
    assert await service.refused(person.handle, person.app_password) == rejected
    assert nothing_is_stored(service)


async def test_a_failed_login_is_logged(service: Running, bluesky: Bluesky) -> None:
    """The line has the purpose and the error, but not the account."""
    person = await bluesky.person()
    with capture_logs() as lines:
        await service.refused(person.handle, "abcd-efgh-ijkl-mnop")
    assert [line for line in lines if line["event"] == "login failed"] == [
        {
            "event": "login failed",
            "log_level": "info",
            "tenant": service.tenant_id,
            "platform": "bluesky",
            "purpose": "connect",
            "why": "rejected_by_platform",
        }
    ]


async def test_an_unknown_handle_costs_no_login(service: Running, bluesky: Bluesky) -> None:
    """The resolver's answer gives HANDLE_NOT_FOUND."""
    before = await logins(bluesky)
    refusal = await service.refused("nobody-is-here.test", "abcd-efgh-ijkl-mnop")
    assert refusal.reason == "INVALID_CREDENTIALS"
    assert refusal.metadata["cause"] == "HANDLE_NOT_FOUND"
    assert await logins(bluesky) == before
    assert nothing_is_stored(service)


async def test_a_main_password_is_refused_and_its_session_ended(
    service: Running, bluesky: Bluesky
) -> None:
    """This holds even if it looks like an app password: the token's scope shows the difference."""
    person = await bluesky.person(main_password="main-pass-word-here")
    ended = (await bluesky.counts()).get(DELETE, 0)
    refusal = await service.refused(person.handle, person.main_password)
    assert refusal.metadata["cause"] == "MAIN_PASSWORD"
    assert nothing_is_stored(service)
    async with asyncio.timeout(5):
        while (await bluesky.counts()).get(DELETE, 0) != ended + 1:
            await asyncio.sleep(0.02)


async def test_a_logout_that_hangs_does_not_delay_the_reply(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """A main password is rejected within a short deadline; its session is ended after that."""
    warm = await sandbox.person()
    await sandboxed.connect(warm.handle, warm.app_password)
    hang = sandbox.server.breakages.add(Hang(), method="deleteSession")
    person = await sandbox.person(main_password="main-pass-word-here")
    refusal = await sandboxed.refused(person.handle, person.main_password, timeout=2)
    assert (refusal.reason, refusal.metadata["cause"]) == ("INVALID_CREDENTIALS", "MAIN_PASSWORD")
    async with asyncio.timeout(5):
        while not hang.held_up:
            await asyncio.sleep(0.02)
    hang.mend()


async def test_a_main_password_of_its_own_shape_costs_no_login(
    service: Running, bluesky: Bluesky
) -> None:
    person = await bluesky.person(main_password="correct horse battery staple")
    before = await logins(bluesky)
    refusal = await service.refused(person.handle, person.main_password)
    assert refusal.metadata["cause"] == "MALFORMED_APP_PASSWORD"
    assert refusal.fields == ("credentials.app_password",)
    assert await logins(bluesky) == before


async def test_a_deactivated_account_is_inactive(bluesky: Bluesky) -> None:
    """If its handle still resolves, the login works; its session is then ended and the connect
    rejected."""
    person = await bluesky.person()
    names = {f"POSTCORE_{name}": value for name, value in bluesky.settings().items()}
    tasks = OwnedTasks()
    way_out = egress_context(Settings.read(names), SystemClock(), tasks.spawn)
    platform = BlueskyPlatform(way_out)
    credentials = Credentials(handle=person.handle, appPassword=person.app_password)
    account = await platform.identify(credentials)
    await bluesky.deactivate(person)
    ended = (await bluesky.counts()).get(DELETE, 0)
    with pytest.raises(AccountInactive) as caught:
        await platform.log_in(credentials, account)
    assert caught.value.metadata == {"platform": "bluesky", "status": "deactivated"}
    assert await tasks.drain(5) == 0
    assert (await bluesky.counts())[DELETE] == ended + 1
    await way_out.egress.close()


async def test_a_deactivated_handle_does_not_resolve(service: Running, bluesky: Bluesky) -> None:
    """The server no longer resolves it, so no login is spent."""
    person = await bluesky.person()
    await bluesky.deactivate(person)
    before = await logins(bluesky)
    refusal = await service.refused(person.handle, person.app_password)
    assert refusal.metadata["cause"] == "HANDLE_NOT_FOUND"
    assert await logins(bluesky) == before


async def test_a_taken_down_account_looks_like_a_wrong_password(
    service: Running, bluesky: Bluesky
) -> None:
    """The server rejects its app password with the same answer."""
    person = await bluesky.person()
    await bluesky.take_down(person)
    refusal = await service.refused(person.handle, person.app_password)
    assert refusal.reason == "INVALID_CREDENTIALS"
    assert nothing_is_stored(service)


@pytest.mark.parametrize(
    "typed",
    ["@{}", " {} ", "\u202a{}\u202c", "at://{}", "https://bsky.app/profile/{}", "{}\u200b"],
)
async def test_handles_are_normalized(sandboxed: Running, sandbox: Bluesky, typed: str) -> None:
    """Characters that are often pasted around a handle are removed, and case is ignored."""
    person = await sandbox.person()
    reply = await sandboxed.connect(
        typed.format(person.handle.upper()), f" {person.app_password}\n"
    )
    assert reply.username == person.handle


async def test_of_two_simultaneous_connects_one_wins(service: Running, bluesky: Bluesky) -> None:
    """With two different accounts, the other one is rejected, and the row holds the winner's
    account."""
    one, two, first = [await bluesky.person() for _ in range(3)]
    empty = await service.new_profile()
    outcomes = await asyncio.gather(
        service.connect(one.handle, one.app_password, profile_key=empty),
        service.connect(two.handle, two.app_password, profile_key=empty),
        return_exceptions=True,
    )
    won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    [row] = service.rows("SELECT * FROM connections")
    assert row["username"] == won[0].username
    assert len(service.rows("SELECT * FROM credentials")) == 1
    same = await asyncio.gather(
        *(service.connect(first.handle, first.app_password) for _ in range(2))
    )
    assert len({reply.profile_key for reply in same}) == 2
    again = await asyncio.gather(
        *(
            service.connect(first.handle, first.app_password, profile_key=same[0].profile_key)
            for _ in range(3)
        )
    )
    assert set(map(str, again)) == {str(same[0])}
    assert await is_live(bluesky.origin, service.session(same[0].profile_key).refresh_token)


async def test_a_foreign_a_missing_and_a_malformed_profile_look_the_same(
    service: Running, bluesky: Bluesky
) -> None:
    """Each is PROFILE_NOT_FOUND, byte for byte the same, without a login."""
    person = await bluesky.person()
    mine = await service.connect(person.handle, person.app_password)
    stranger, _ = await service.new_key(tenant_id=await service.new_tenant())
    before = await logins(bluesky)
    refusals = [
        await service.refused(person.handle, person.app_password, profile_key=key, api_key=who)
        for key, who in (
            (mine.profile_key, stranger),
            ("prof_absent0absent0", None),
            ("no profile key at all\0", None),
            ("prof_" + "x" * 10_000, None),
        )
    ]
    assert {refusal.reason for refusal in refusals} == {"PROFILE_NOT_FOUND"}
    assert len({refusal.wire for refusal in refusals}) == 1
    assert await logins(bluesky) == before


async def test_no_column_of_the_database_holds_a_secret(service: Running, bluesky: Bluesky) -> None:
    """Password and tokens are sealed. The keyring opens them only in their own place."""
    person = await bluesky.person()
    await service.connect(person.handle, person.app_password)
    session = service.session()
    dump = repr(
        [
            service.rows(f"SELECT * FROM {table['name']}")
            for table in service.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
    )
    for secret in (person.app_password, session.access_token, session.refresh_token):
        assert secret not in dump
        assert secret.encode().hex() not in dump
    assert service.api_key not in dump


async def logins(bluesky: Bluesky) -> int:
    return (await bluesky.counts()).get(CREATE, 0)


def nothing_is_stored(service: Running) -> bool:
    tables = ("profiles", "connections", "credentials", "sessions", "idempotency_records")
    return not any(service.rows(f"SELECT * FROM {table}") for table in tables)
