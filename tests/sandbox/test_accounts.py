"""resolveHandle, getRepoStatus and the directory: what is public about an account."""

import pytest

from service.sandbox.accounts import Account, Status
from service.sandbox.server import SandboxServer
from service.sandbox.world import World

from .caller import UNRESOLVED, Caller, refusal

UNKNOWN = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


async def test_the_document_names_handle_and_server(
    caller: Caller, server: SandboxServer, user: Account
) -> None:
    """The document is a did:plc's: it names the handle back, a key and the server."""
    answer = await caller.document(user.did)

    assert answer.headers["content-type"] == "application/did+ld+json; charset=utf-8"
    document = answer.json()
    assert document["id"] == user.did
    assert document["alsoKnownAs"] == ["at://user.bsky.social"]
    [key] = document["verificationMethod"]
    assert (key["id"], key["controller"]) == ("#atproto", user.did)
    assert document["service"] == [
        {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": server.origin,
        }
    ]


async def test_the_directory_finds_a_percent_encoded_did(caller: Caller, user: Account) -> None:
    """Some clients encode the colons."""
    assert (await caller.document(user.did.replace(":", "%3A"))).json()["id"] == user.did


@pytest.mark.parametrize("did", [UNKNOWN, "nonsense"])
async def test_an_unregistered_did_has_no_document(caller: Caller, did: str) -> None:
    """The directory says that it was never registered."""
    answer = await caller.document(did)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == {"message": f"DID not registered: {did}"}


async def test_a_tombstoned_did_is_gone(caller: Caller, world: World, user: Account) -> None:
    """The directory says that it was there once; sessions then come without a document."""
    world.tombstone(user.did)

    answer = await caller.document(user.did)

    assert answer.status_code == 410
    assert answer.json() == {"message": f"DID not available: {user.did}"}
    assert "didDoc" not in await caller.session("user.bsky.social")


@pytest.mark.parametrize("handle", ["custom.example-domain.com", "Custom.Example-Domain.COM"])
async def test_a_handle_resolves_in_any_case(caller: Caller, world: World, handle: str) -> None:
    """A domain of one's own resolves like any other."""
    account = world.find("custom.example-domain.com")
    assert account
    assert (await caller.resolve(handle)).json() == {"did": account.did}


@pytest.mark.parametrize(
    "handle", ["nobody.test", "deactivated.bsky.social", "takendown.bsky.social"]
)
async def test_an_unknown_or_inactive_handle_does_not_resolve(caller: Caller, handle: str) -> None:
    """The answer does not reveal whether there is such an account."""
    assert refusal(await caller.resolve(handle)) == UNRESOLVED


@pytest.mark.parametrize("handle", ["", "user", "@user.bsky.social", "a-.test", UNKNOWN, "a b.c"])
async def test_a_malformed_handle_is_the_servers_failure(caller: Caller, handle: str) -> None:
    """The real server falls over it, and so does this one."""
    expected = (500, "InternalServerError", "Internal Server Error")
    assert refusal(await caller.resolve(handle)) == expected


async def test_repo_status_of_an_active_account(caller: Caller, user: Account) -> None:
    """An active account has a revision, a TID."""
    status = (await caller.repo_status(user.did)).json()

    revision = status.pop("rev")
    assert len(revision) == 13
    assert status == {"did": user.did, "active": True}


@pytest.mark.parametrize("status", [Status.DEACTIVATED, Status.TAKENDOWN, Status.SUSPENDED])
async def test_repo_status_of_an_inactive_account(
    caller: Caller, world: World, user: Account, status: Status
) -> None:
    """An inactive account names its status and no revision; the directory keeps its document."""
    world.set_status(user.did, status)

    answer = await caller.repo_status(user.did)

    assert answer.json() == {"did": user.did, "active": False, "status": status.value}
    assert (await caller.document(user.did)).status_code == 200


async def test_a_deleted_account_is_not_found_but_keeps_its_document(
    caller: Caller, world: World, user: Account
) -> None:
    """The server deletes it; the directory is separate and keeps it."""
    world.delete(user.did)

    missing = (400, "RepoNotFound", f"Could not find repo for DID: {user.did}")
    assert refusal(await caller.repo_status(user.did)) == missing
    assert refusal(await caller.resolve("user.bsky.social")) == UNRESOLVED
    assert (await caller.document(user.did)).status_code == 200


async def test_a_renamed_account_leaves_its_old_handle(
    caller: Caller, world: World, user: Account
) -> None:
    """The DID stays; handle, resolution and document move together."""
    session = await caller.session("user.bsky.social")

    world.rename(user.did, "Renamed.test")

    assert (await caller.resolve("renamed.test")).json() == {"did": user.did}
    assert refusal(await caller.resolve("user.bsky.social")) == UNRESOLVED
    assert (await caller.log_in("user.bsky.social")).status_code == 401
    assert (await caller.read(session)).json()["handle"] == "renamed.test"
    assert (await caller.document(user.did)).json()["alsoKnownAs"] == ["at://renamed.test"]


async def test_a_handle_set_free_can_be_taken_by_another_account(
    caller: Caller, world: World, user: Account
) -> None:
    """The new owner has another DID."""
    world.delete(user.did)

    later = world.create("user.bsky.social", "another-main-password")

    assert later.did != user.did
    assert (await caller.resolve("user.bsky.social")).json() == {"did": later.did}


def test_a_handle_in_use_is_refused(world: World, user: Account) -> None:
    """Two accounts never share a handle, nor one account a name for two app passwords."""
    with pytest.raises(ValueError, match="taken"):
        world.create("User.bsky.social", "x")
    with pytest.raises(ValueError, match="taken"):
        world.rename(user.did, "alice.test")
    with pytest.raises(ValueError, match="sandbox"):
        world.add_app_password(user.did, "sandbox")


def test_no_password_shows_in_a_repr(user: Account) -> None:
    """An account that ends up in a log or a failed test keeps its passwords to itself."""
    assert "correct-horse" not in repr(user)
    assert "abcd-efgh" not in repr(user)
