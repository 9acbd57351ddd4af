"""refreshSession, getSession and deleteSession: how long a login lasts, and what ends it."""

from collections.abc import Callable
from typing import Any

import pytest

from service.sandbox.accounts import Account, Status
from service.sandbox.server import SandboxServer
from service.sandbox.world import World, plant

from .caller import (
    EXPIRED,
    INVALID_LOGIN,
    MAIN_PASSWORD,
    REVOKED,
    SESSION,
    TAKEN_DOWN,
    UNVERIFIED,
    Caller,
    bearer,
    client,
    parts,
    refusal,
)
from .conftest import Clock

HOUR = 3600


def token_id(session: dict[str, Any]) -> str:
    return str(parts(session["refreshJwt"])[1]["jti"])


async def test_a_refresh_gives_a_new_pair(caller: Caller, user: Account) -> None:
    """The pair is new, its scope the old one, and the rest is as after a login."""
    session = await caller.session("user.bsky.social")

    renewed = (await caller.refresh(session)).json()

    assert list(renewed) == list(session)
    assert token_id(renewed) != token_id(session)
    assert parts(renewed["accessJwt"])[1]["scope"] == "com.atproto.appPass"
    assert (await caller.read(renewed)).json()["did"] == user.did


async def test_a_used_refresh_token_leads_to_the_same_next_one_for_two_hours(
    caller: Caller, clock: Clock
) -> None:
    """Within the grace the next token's id is the same each time; after it the old one is dead."""
    session = await caller.session("user.bsky.social")
    first = (await caller.refresh(session)).json()

    clock.at += 2 * HOUR - 1
    assert token_id((await caller.refresh(session)).json()) == token_id(first)
    # each use grants two hours more
    clock.at += 2 * HOUR
    assert refusal(await caller.refresh(session)) == REVOKED
    assert (await caller.refresh(first)).status_code == 200


async def test_a_reissued_token_keeps_its_end(caller: Caller, clock: Clock) -> None:
    """An old token leads back to a used next one, and does not prolong that one's two hours."""
    session = await caller.session("user.bsky.social")
    used = (await caller.refresh(session)).json()
    await caller.refresh(used)

    clock.at += HOUR
    again = (await caller.refresh(session)).json()

    clock.at += HOUR
    assert token_id(again) == token_id(used)
    assert refusal(await caller.refresh(again)) == REVOKED


async def test_an_old_token_brings_a_deleted_next_one_back(caller: Caller) -> None:
    """To end a session for good, the tokens before its last have to be deleted too."""
    session = await caller.session("user.bsky.social")
    renewed = (await caller.refresh(session)).json()

    await caller.delete(renewed)
    assert refusal(await caller.refresh(renewed)) == REVOKED
    await caller.refresh(session)

    assert (await caller.refresh(renewed)).status_code == 200


async def test_an_access_token_expires_after_two_hours(caller: Caller, clock: Clock) -> None:
    """A second before it reads, then it is expired."""
    session = await caller.session("user.bsky.social")

    clock.at += 2 * HOUR - 1
    assert (await caller.read(session)).status_code == 200
    clock.at += 1
    assert refusal(await caller.read(session)) == EXPIRED


async def test_a_refresh_token_expires_after_ninety_days(caller: Caller, clock: Clock) -> None:
    """A lapsed one is expired, not revoked, and may still be deleted."""
    session = await caller.session("user.bsky.social")

    clock.at += 90 * 24 * HOUR - 1
    assert (await caller.refresh(session)).status_code == 200
    clock.at += 1
    assert refusal(await caller.refresh(session)) == EXPIRED
    assert (await caller.delete(session)).status_code == 200


async def test_a_deleted_session_cannot_be_refreshed_but_reads_on(caller: Caller) -> None:
    """deleteSession answers nothing, twice if asked, and leaves the access token alone."""
    session = await caller.session("user.bsky.social")

    for _ in range(2):
        answer = await caller.delete(session)
        assert (answer.status_code, answer.content) == (200, b"")
    assert refusal(await caller.refresh(session)) == REVOKED
    assert (await caller.read(session)).status_code == 200


async def test_deleting_one_session_leaves_the_others(caller: Caller) -> None:
    """Sessions of one password are apart."""
    one = await caller.session("user.bsky.social")
    other = await caller.session("user.bsky.social")

    await caller.delete(one)

    assert (await caller.refresh(other)).status_code == 200


@pytest.mark.parametrize("method", ["refreshSession", "deleteSession"])
async def test_an_access_token_is_no_refresh_token(caller: Caller, method: str) -> None:
    """Refreshing and deleting take the refresh token only."""
    session = await caller.session("user.bsky.social")

    answer = await caller.http.post(f"{SESSION}{method}", headers=bearer(session, "access"))

    assert refusal(answer) == (400, "InvalidToken", "Invalid token type")


async def test_a_refresh_token_reads_nothing(caller: Caller) -> None:
    """getSession takes the access token only."""
    session = await caller.session("user.bsky.social")

    answer = await caller.http.get(f"{SESSION}getSession", headers=bearer(session, "refresh"))

    assert refusal(answer) == (400, "InvalidToken", "Invalid token type")


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("", (401, "AuthMissing", "Authentication Required")),
        ("Basic YTpi", (401, "AuthMissing", "Authentication Required")),
        ("Bearer", (400, "InvalidToken", "Malformed authorization header")),
        ("Bearer a b", (400, "InvalidToken", "Malformed authorization header")),
        ("Foo x", (400, "InvalidToken", "Unsupported authorization type: Foo")),
        ("Bearer garbage", UNVERIFIED),
        ("Bearer a.b.c", UNVERIFIED),
        ("Bearer bnVsbA.bnVsbA.bnVsbA", UNVERIFIED),
    ],
)
async def test_a_token_that_is_none_is_refused(
    caller: Caller, authorization: str, expected: tuple[int, str, str]
) -> None:
    """Each way of not bringing a token has its answer."""
    headers = {"authorization": authorization}
    answer = await caller.http.post(f"{SESSION}refreshSession", headers=headers)

    assert refusal(answer) == expected
    assert answer.headers["cache-control"] == "private"


async def test_a_token_signed_by_another_secret_is_refused(
    caller: Caller, world: World, clock: Clock
) -> None:
    """What a token says counts only under the world's own signature."""
    _, tokens = plant(World(now=clock, secret=b"another")).log_in(
        "alice.test", "alic-eapp-pass-word"
    )

    forged = {"accessJwt": tokens.access, "refreshJwt": tokens.refresh}

    assert refusal(await caller.refresh(forged)) == UNVERIFIED
    assert refusal(await caller.read(forged)) == UNVERIFIED


async def test_a_revoked_app_password_ends_its_sessions_alone(
    caller: Caller, world: World, user: Account
) -> None:
    """Login and refresh are refused, the access token reads on; another password is untouched."""
    other = world.add_app_password(user.did, "another app")
    session = await caller.session("user.bsky.social")
    untouched = await caller.session("user.bsky.social", other)

    world.revoke_app_password(user.did, "sandbox")

    assert refusal(await caller.log_in("user.bsky.social")) == INVALID_LOGIN
    assert refusal(await caller.refresh(session)) == REVOKED
    assert (await caller.read(session)).status_code == 200
    assert (await caller.refresh(untouched)).status_code == 200


async def test_a_new_main_password_ends_every_session_but_no_app_password(
    caller: Caller, world: World, user: Account
) -> None:
    """All refreshes are refused; the app password still logs in."""
    by_app = await caller.session("user.bsky.social")
    by_main = await caller.session("user.bsky.social", MAIN_PASSWORD)

    world.change_password(user.did, "new-main-password")

    assert refusal(await caller.refresh(by_app)) == REVOKED
    assert refusal(await caller.refresh(by_main)) == REVOKED
    assert refusal(await caller.log_in("user.bsky.social", MAIN_PASSWORD)) == INVALID_LOGIN
    assert (await caller.refresh(await caller.session("user.bsky.social"))).status_code == 200


@pytest.mark.parametrize("status", [Status.TAKENDOWN, Status.SUSPENDED])
async def test_a_lifted_takedown_costs_one_login(
    caller: Caller, world: World, user: Account, status: Status
) -> None:
    """The old refresh token stays dead; the app password makes a new session."""
    session = await caller.session("user.bsky.social")

    world.set_status(user.did, status)
    assert refusal(await caller.refresh(session)) == TAKEN_DOWN
    assert refusal(await caller.log_in("user.bsky.social")) == INVALID_LOGIN
    assert refusal(await caller.log_in("user.bsky.social", MAIN_PASSWORD)) == TAKEN_DOWN
    assert refusal(await caller.read(session))[:2] == (400, "InvalidRequest")

    world.set_status(user.did, Status.ACTIVE)
    assert refusal(await caller.refresh(session)) == REVOKED
    assert (await caller.read(session)).status_code == 200
    assert (await caller.refresh(await caller.session("user.bsky.social"))).status_code == 200


async def test_a_deactivated_account_refreshes_and_reads_and_says_so(
    caller: Caller, world: World, user: Account
) -> None:
    """Deactivation ends no session."""
    session = await caller.session("user.bsky.social")

    world.set_status(user.did, Status.DEACTIVATED)

    for answer in (await caller.refresh(session), await caller.read(session)):
        assert answer.status_code == 200
        assert (answer.json()["active"], answer.json()["status"]) == (False, "deactivated")


async def test_a_deleted_accounts_tokens_have_no_account(
    caller: Caller, world: World, user: Account
) -> None:
    """Reading and refreshing fail by the account, logging in as with any unknown name.

    Were the account to come back, its sessions would not.
    """
    session = await caller.session("user.bsky.social")

    world.delete(user.did)

    missing = (400, "InvalidRequest", f"Could not find user info for account: {user.did}")
    assert refusal(await caller.refresh(session)) == missing
    assert refusal(await caller.read(session)) == missing
    assert refusal(await caller.log_in("user.bsky.social")) == INVALID_LOGIN
    assert refusal(await caller.log_in(user.did)) == INVALID_LOGIN

    world.set_status(user.did, Status.ACTIVE)
    assert refusal(await caller.refresh(session)) == REVOKED


async def test_tokens_of_an_earlier_process_stay_valid(caller: Caller, clock: Clock) -> None:
    """A new world accepts the tokens that an earlier one signed."""
    session = await caller.session("privileged.bsky.social", "priv-ileg-eapp-pass")
    later = SandboxServer(plant(World(now=clock)))
    await later.start()

    async with client(later.origin) as http:
        renewed = await Caller(http).refresh(session)
        assert parts(renewed.json()["accessJwt"])[1]["scope"] == "com.atproto.appPassPrivileged"
        assert (await Caller(http).read(session)).status_code == 200
        # and is as final as any other when it is over
        await Caller(http).delete(session)
        assert refusal(await Caller(http).refresh(session)) == REVOKED
    await later.stop()


@pytest.mark.parametrize(
    "act",
    [
        lambda world, did: world.revoke_app_password(did, "sandbox"),
        lambda world, did: world.change_password(did, "new-main-password"),
        lambda world, did: (
            world.set_status(did, Status.TAKENDOWN),
            world.set_status(did, Status.ACTIVE),
        ),
    ],
    ids=["revoked", "main password changed", "taken down and back"],
)
async def test_a_revocation_ends_tokens_of_an_earlier_process(
    caller: Caller, world: World, user: Account, clock: Clock, act: Callable[[World, str], None]
) -> None:
    """What ends sessions ends also those that this run has not seen yet."""
    _, tokens = plant(World(now=clock)).log_in("user.bsky.social", "abcd-efgh-ijkl-mnop")

    act(world, user.did)

    assert refusal(await caller.refresh({"refreshJwt": tokens.refresh})) == REVOKED
