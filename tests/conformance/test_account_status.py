"""Accounts that are not as they were: deactivated, taken down, deleted, renamed."""

import pytest

from .caller import Caller
from .expected import (
    APP,
    INVALID_LOGIN,
    NO_REPO,
    NO_USER,
    REVOKED,
    TAKEN_DOWN,
    UNRESOLVED,
    account,
    account_status,
    document,
    session,
)
from .sandbox import Sandbox


async def test_login_to_a_deactivated_account(call: Caller) -> None:
    """A deactivated account lets its owner in, and says what it is."""
    await call.server.deactivate(call.person)

    assert await call.log_in() == session(APP, status="deactivated")


async def test_session_of_a_deactivated_account(call: Caller) -> None:
    """Deactivation ends no session: it refreshes and reads, marked."""
    old = await call.session()

    await call.server.deactivate(call.person)

    assert await call.refresh(old) == session(APP, status="deactivated")
    assert await call.read(old) == account(status="deactivated")


async def test_session_of_an_account_activated_again(call: Caller) -> None:
    """An account activated again is as it was, and so are its sessions."""
    old = await call.session()
    await call.server.deactivate(call.person)

    await call.server.activate(call.person)

    assert await call.refresh(old) == session(APP)
    assert await call.log_in() == session(APP)
    assert await call.account_status() == account_status()


async def test_session_of_a_taken_down_account(call: Caller) -> None:
    """A refresh reports a takedown; an access token then finds no account."""
    old = await call.session()

    await call.server.take_down(call.person)

    assert await call.refresh(old) == TAKEN_DOWN
    assert await call.read(old) == NO_USER


async def test_old_session_after_a_takedown_is_lifted(call: Caller) -> None:
    """After a takedown is lifted the refresh token stays dead; the access token reads again."""
    old = await call.session()
    await call.server.take_down(call.person)

    await call.server.lift(call.person)

    assert await call.refresh(old) == REVOKED
    assert await call.read(old) == account()


async def test_login_after_a_takedown_is_lifted(call: Caller) -> None:
    """After a takedown is lifted the app password serves again: recovery costs one login."""
    await call.server.take_down(call.person)

    await call.server.lift(call.person)

    assert await call.log_in() == session(APP)
    assert await call.account_status() == account_status()


async def test_login_to_a_deleted_account(call: Caller) -> None:
    """A deleted account is an unknown one, by handle and by DID."""
    await call.server.delete(call.person)

    assert await call.log_in() == INVALID_LOGIN
    assert await call.log_in(call.person.did) == INVALID_LOGIN
    assert await call.log_in(password=call.person.main_password) == INVALID_LOGIN


async def test_session_of_a_deleted_account(call: Caller) -> None:
    """The tokens of a deleted account find no account."""
    old = await call.session()

    await call.server.delete(call.person)

    assert await call.refresh(old) == NO_USER
    assert await call.read(old) == NO_USER


async def test_status_at_the_server_of_a_deleted_account(call: Caller) -> None:
    """A deleted account has neither repository nor handle; the directory keeps its document."""
    await call.server.delete(call.person)

    assert await call.account_status() == NO_REPO
    assert await call.resolve() == UNRESOLVED
    assert await call.document() == document()


async def test_login_after_a_handle_change(call: Caller) -> None:
    """After a handle change the old handle is an unknown one; the new one and the DID serve."""
    call.overlook("didDoc")

    handle = await call.rename()

    assert await call.log_in() == INVALID_LOGIN
    for name in (handle, call.person.did):
        assert await call.log_in(name) == session(APP, handle="new-<handle>").overlooking("didDoc")


async def test_session_after_a_handle_change(call: Caller) -> None:
    """After a handle change a session lives on, under the new handle."""
    old = await call.session()
    call.overlook("didDoc")

    await call.rename()

    assert await call.refresh(old) == session(APP, handle="new-<handle>").overlooking("didDoc")
    assert await call.read(old) == account(handle="new-<handle>").overlooking("didDoc")


async def test_login_after_a_migration(call: Caller) -> None:
    """After a migration, the old server accepts the login and reports a deactivated account."""
    call.overlook("didDoc")

    await call.migrate()

    assert await call.log_in() == session(APP, status="deactivated").overlooking("didDoc")


async def test_session_after_a_migration(call: Caller) -> None:
    """After a migration a session at the old server lives on, marked."""
    old = await call.session()
    call.overlook("didDoc")

    await call.migrate()

    assert await call.refresh(old) == session(APP, status="deactivated").overlooking("didDoc")
    assert await call.account_status() == account_status(status="deactivated")


@pytest.mark.parametrize("server", ["sandbox"], indirect=True)
async def test_suspended_account(call: Caller) -> None:
    """A suspension, which the published server does not have, is a takedown by another name."""
    assert isinstance(call.server, Sandbox)
    old = await call.session()

    await call.server.suspend(call.person)

    assert await call.log_in() == INVALID_LOGIN
    assert await call.log_in(password=call.person.main_password) == TAKEN_DOWN
    assert await call.refresh(old) == TAKEN_DOWN
    assert await call.read(old) == NO_USER
    assert await call.resolve() == UNRESOLVED
    assert await call.account_status() == account_status(status="suspended")
