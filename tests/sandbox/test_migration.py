"""Migration: an account that leaves one server for the other, and what stays behind."""

from collections.abc import AsyncIterator

import pytest

from service.sandbox.network import Network
from service.sandbox.sandbox import Sandbox

from .caller import INVALID_LOGIN, MAIN_PASSWORD, REVOKED, UNVERIFIED, Caller, client, refusal
from .conftest import Clock

USER = "user.bsky.social"


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(Network(now=clock)) as sandbox:
        yield sandbox


@pytest.fixture
async def old(sandbox: Sandbox) -> AsyncIterator[Caller]:
    async with client(sandbox.first.origin) as http:
        yield Caller(http)


@pytest.fixture
async def new(sandbox: Sandbox) -> AsyncIterator[Caller]:
    async with client(sandbox.second.origin) as http:
        yield Caller(http)


async def test_the_directory_names_the_new_server(
    sandbox: Sandbox, old: Caller, new: Caller
) -> None:
    """Whichever port it is asked at; and the old server still finds the handle."""
    did = sandbox.network.account(USER).did

    assert sandbox.network.migrate(USER) == sandbox.second.origin

    for caller in (old, new):
        document = (await caller.document(did)).json()
        assert document["service"][0]["serviceEndpoint"] == sandbox.second.origin
        assert document["alsoKnownAs"] == [f"at://{USER}"]
        assert (await caller.resolve(USER)).json() == {"did": did}


async def test_it_is_active_there_and_deactivated_here(
    sandbox: Sandbox, old: Caller, new: Caller
) -> None:
    """The old app password opens sessions at the old server, which say that it is not active."""
    did = sandbox.network.account(USER).did
    sandbox.network.migrate(USER)

    session = await old.session(did)
    assert (session["active"], session["status"]) == (False, "deactivated")
    assert session["didDoc"]["service"][0]["serviceEndpoint"] == sandbox.second.origin
    inactive = {"did": did, "active": False, "status": "deactivated"}
    assert (await old.repo_status(did)).json() == inactive
    assert (await new.repo_status(did)).json()["active"] is True


async def test_sessions_and_app_passwords_stay_behind(
    sandbox: Sandbox, old: Caller, new: Caller
) -> None:
    """The main password goes with the account, and a new app password opens the new server."""
    session = await old.session(USER)
    sandbox.network.migrate(USER)

    assert (await old.refresh(session)).json()["active"] is False
    assert refusal(await new.refresh(session)) == UNVERIFIED
    assert refusal(await new.log_in(USER)) == INVALID_LOGIN
    assert (await new.session(USER, MAIN_PASSWORD))["active"] is True
    _, app_password = sandbox.network.create_app_password(USER)
    opened = await new.session(USER, app_password)
    assert (await new.refresh(opened)).status_code == 200
    assert refusal(await old.log_in(USER, app_password)) == INVALID_LOGIN
    assert refusal(await old.refresh(opened)) == UNVERIFIED


async def test_operations_apply_at_the_current_server(
    sandbox: Sandbox, old: Caller, new: Caller
) -> None:
    """What happens to it after the move happens at the new server alone."""
    did = sandbox.network.account(USER).did
    sandbox.network.migrate(USER)
    called, app_password = sandbox.network.create_app_password(USER)
    opened = await new.session(USER, app_password)

    sandbox.network.revoke_app_password(USER, called)
    assert refusal(await new.refresh(opened)) == REVOKED
    sandbox.network.take_down(USER)
    assert (await new.repo_status(did)).json()["status"] == "takendown"
    assert (await old.repo_status(did)).json()["status"] == "deactivated"
    sandbox.network.lift(USER)
    sandbox.network.rename(USER, "renamed.test")
    assert (await new.session("renamed.test", MAIN_PASSWORD))["handle"] == "renamed.test"
    assert (await old.session(did))["handle"] == USER
    [moved] = [each for each in sandbox.network.accounts() if each.did == did]
    assert moved.handle == "renamed.test"


async def test_an_inactive_account_that_has_moved_is_still_found(
    sandbox: Sandbox, old: Caller, new: Caller
) -> None:
    """Its handle is no longer its old server's to let go of; its new server does let go."""
    did = sandbox.network.account(USER).did
    sandbox.network.migrate(USER)

    sandbox.network.deactivate(USER)

    assert (await old.resolve(USER)).json() == {"did": did}
    assert (await new.resolve(USER)).status_code == 400


async def test_it_may_come_back(sandbox: Sandbox, old: Caller, new: Caller) -> None:
    """To the app passwords that it left behind, and leaving those of the other server there."""
    sandbox.network.migrate(USER)
    _, app_password = sandbox.network.create_app_password(USER)

    assert sandbox.network.migrate(USER) == sandbox.first.origin

    assert (await old.session(USER))["active"] is True
    assert (await new.session(USER, app_password))["active"] is False


async def test_a_taken_down_account_that_moves_stays_taken_down_here(
    sandbox: Sandbox, old: Caller, new: Caller
) -> None:
    """Moderators decide for their own server."""
    did = sandbox.network.account("takendown.bsky.social").did

    sandbox.network.migrate(did)

    assert (await old.repo_status(did)).json()["status"] == "takendown"
    assert (await new.repo_status(did)).json()["active"] is True


@pytest.mark.parametrize("switch", ["deactivate", "take_down", "suspend"])
async def test_a_domain_of_ones_own_leads_to_an_inactive_account(
    sandbox: Sandbox, old: Caller, switch: str
) -> None:
    """Its DNS is nothing that the account's server could take back."""
    handle = "custom.example-domain.com"
    did = sandbox.network.account(handle).did

    getattr(sandbox.network, switch)(handle)

    assert (await old.resolve(handle)).json() == {"did": did}
