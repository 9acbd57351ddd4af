"""refreshSession, getSession and deleteSession: what a session is good for, and what ends it."""

import pytest

from .caller import Caller
from .expected import (
    ACCESS,
    APP,
    INVALID_LOGIN,
    NO_TOKEN,
    NOTHING,
    PRIVILEGED,
    REVOKED,
    UNVERIFIED,
    WRONG_KIND,
    account,
    refused,
    session,
)
from .servers import Session

METHODS = {
    "refreshSession": ("POST", "server.refreshSession"),
    "deleteSession": ("POST", "server.deleteSession"),
    "getSession": ("GET", "server.getSession"),
}


async def test_refresh(anyone: Caller) -> None:
    """A refresh token yields a new pair, with the scope of the old one."""
    old = await anyone.session()

    renewed = await anyone.refresh(old)

    assert renewed == session(APP)
    assert Session.of(renewed.raw).refresh != old.refresh
    assert await anyone.read(Session.of(renewed.raw)) == account()


async def test_refresh_of_other_scopes(call: Caller) -> None:
    """A refresh keeps the scope of a privileged and of a main password too."""
    password = await call.server.app_password(call.person, "messages", privileged=True)
    privileged, main = await call.session(password), await call.session(call.person.main_password)

    assert await call.refresh(privileged) == session(PRIVILEGED)
    assert await call.refresh(main) == session(ACCESS)


async def test_refresh_twice(anyone: Caller) -> None:
    """A used refresh token still works, and yields the same next one."""
    old = await anyone.session()
    first, second = await anyone.refresh(old), await anyone.refresh(old)

    assert first == second == session(APP)
    assert Session.of(first.raw).id == Session.of(second.raw).id != old.id
    assert (await anyone.refresh(Session.of(first.raw))).status == 200


async def test_get_session(anyone: Caller) -> None:
    """An access token leads to its account."""
    assert await anyone.read(await anyone.session()) == account()


async def test_refresh_after_the_app_password_was_revoked(call: Caller) -> None:
    """Revoking an app password ends its sessions, and no others."""
    other = await call.server.app_password(call.person, "another")
    gone, kept = await call.session(), await call.session(other)

    await call.server.revoke(call.person)

    assert await call.refresh(gone) == REVOKED
    assert await call.refresh(kept) == session(APP)


async def test_access_token_after_the_app_password_was_revoked(call: Caller) -> None:
    """An access token reads on after its app password was revoked."""
    old = await call.session()

    await call.server.revoke(call.person)

    assert await call.read(old) == account()


async def test_refresh_after_the_main_password_changed(call: Caller) -> None:
    """A new main password ends every session."""
    by_app, by_main = await call.session(), await call.session(call.person.main_password)

    await call.server.change_password(call.person, "another main password")

    assert await call.refresh(by_app) == REVOKED
    assert await call.refresh(by_main) == REVOKED


async def test_logins_after_the_main_password_changed(call: Caller) -> None:
    """The app password itself survives a new main password."""
    await call.server.change_password(call.person, "another main password")

    assert await call.log_in() == session(APP)
    assert await call.log_in(password="another main password") == session(ACCESS)
    assert await call.log_in(password=call.person.main_password) == INVALID_LOGIN


async def test_delete_session(anyone: Caller) -> None:
    """deleteSession takes the refresh token, again and again, and answers nothing."""
    old = await anyone.session()

    assert await anyone.end(old) == NOTHING
    assert await anyone.end(old) == NOTHING


async def test_refresh_after_delete_session(anyone: Caller) -> None:
    """A session that was ended cannot be refreshed, though it still reads; others live on."""
    ended, kept = await anyone.session(), await anyone.session()

    await anyone.end(ended)

    assert await anyone.refresh(ended) == REVOKED
    assert await anyone.read(ended) == account()
    assert await anyone.refresh(kept) == session(APP)


async def test_an_old_token_after_delete_session(anyone: Caller) -> None:
    """The token before the one that was ended brings it back."""
    old = await anyone.session()
    renewed = Session.of((await anyone.refresh(old)).raw)

    await anyone.end(renewed)

    assert await anyone.refresh(renewed) == REVOKED
    assert await anyone.refresh(old) == session(APP)
    assert await anyone.refresh(renewed) == session(APP)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("token", ["garbage", "a.b.c"])
async def test_garbage_for_a_token(anyone: Caller, method: str, token: str) -> None:
    """A token that is garbage cannot be verified."""
    assert await anyone.ask(*METHODS[method], token) == UNVERIFIED


@pytest.mark.parametrize("method", METHODS)
async def test_a_token_with_a_broken_signature(anyone: Caller, method: str) -> None:
    """A token whose signature is not the server's cannot be verified."""
    session = await anyone.session()
    token = session.access if method == "getSession" else session.refresh
    body, _, signature = token.rpartition(".")

    assert await anyone.ask(*METHODS[method], f"{body}.{signature[::-1]}") == UNVERIFIED


@pytest.mark.parametrize("method", METHODS)
async def test_a_token_of_the_other_kind(anyone: Caller, method: str) -> None:
    """Refreshing and deleting take no access token, and reading takes no refresh token."""
    session = await anyone.session()
    token = session.refresh if method == "getSession" else session.access

    assert await anyone.ask(*METHODS[method], token) == WRONG_KIND


@pytest.mark.parametrize("method", METHODS)
async def test_no_token(anyone: Caller, method: str) -> None:
    """A call without a token has an error for that."""
    assert await anyone.ask(*METHODS[method]) == NO_TOKEN


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer", "Malformed authorization header"),
        ("Bearer a b", "Malformed authorization header"),
        ("Foo x", "Unsupported authorization type: Foo"),
    ],
)
async def test_crooked_authorization(
    anyone: Caller, method: str, authorization: str, message: str
) -> None:
    """An authorization without a bearer token has an error that says why."""
    headers = {"authorization": authorization}

    answer = await anyone.ask(*METHODS[method], headers=headers)

    assert answer == refused(400, "InvalidToken", message)
