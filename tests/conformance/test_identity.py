"""What is public about an account: resolveHandle, getRepoStatus, the directory."""

import pytest

from .answers import Answer
from .caller import Caller
from .expected import CRASHED, NO_REPO, RESOLVED, UNRESOLVED, account_status, document, refused

UNKNOWN = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.mark.parametrize("case", ["lower", "upper"])
async def test_handle(anyone: Caller, case: str) -> None:
    """A handle resolves in any case."""
    handle = anyone.person.handle

    assert await anyone.resolve(handle.upper() if case == "upper" else handle) == RESOLVED


@pytest.mark.parametrize("handle", ["nobody.test", "nobody.example.com"])
async def test_unknown_handle(anyone: Caller, handle: str) -> None:
    """An unknown handle does not resolve, be it the server's own or a domain's."""
    assert await anyone.resolve(handle) == UNRESOLVED


async def test_handle_of_a_deactivated_account(call: Caller) -> None:
    """The handle of a deactivated account does not resolve."""
    await call.server.deactivate(call.person)

    assert await call.resolve() == UNRESOLVED


async def test_handle_of_a_taken_down_account(call: Caller) -> None:
    """The handle of a taken-down account does not resolve, until the takedown is lifted."""
    await call.server.take_down(call.person)
    assert await call.resolve() == UNRESOLVED

    await call.server.lift(call.person)
    assert await call.resolve() == RESOLVED


async def test_handles_after_a_change(call: Caller) -> None:
    """After a handle change the new handle resolves, and the old one no more."""
    handle = await call.rename()

    assert await call.resolve() == UNRESOLVED
    assert await call.resolve(handle) == RESOLVED


@pytest.mark.parametrize("handle", ["", "bare", "@alice.test", "a b.test", UNKNOWN])
async def test_malformed_handle(anyone: Caller, handle: str) -> None:
    """A malformed handle brings the server down, which then says so."""
    assert await anyone.resolve(handle) == CRASHED


async def test_status_of_an_active_account(anyone: Caller) -> None:
    """An active account has a revision."""
    assert await anyone.account_status() == account_status()


async def test_status_of_a_deactivated_account(call: Caller) -> None:
    """A deactivated account has no revision."""
    await call.server.deactivate(call.person)

    assert await call.account_status() == account_status(status="deactivated")


async def test_status_of_a_taken_down_account(call: Caller) -> None:
    """A taken-down account has no revision."""
    await call.server.take_down(call.person)

    assert await call.account_status() == account_status(status="takendown")


async def test_status_of_an_unknown_account(anyone: Caller) -> None:
    """A DID that the server does not host has no repository there."""
    message = f"Could not find repo for DID: {UNKNOWN}"

    assert await anyone.account_status(UNKNOWN) == refused(400, "RepoNotFound", message)


async def test_status_of_a_deleted_account(call: Caller) -> None:
    """An account that was deleted has no repository either."""
    await call.server.delete(call.person)

    assert await call.account_status() == NO_REPO


async def test_document(anyone: Caller) -> None:
    """A DID document names the handle back, a key, and the server."""
    assert await anyone.document() == document()


async def test_document_of_a_did_that_came_encoded(anyone: Caller) -> None:
    """A DID whose colons came encoded, as some clients do, has the same document."""
    assert await anyone.document(anyone.person.did.replace(":", "%3A")) == document()


@pytest.mark.parametrize("did", [UNKNOWN, "nonsense"])
async def test_document_of_an_unknown_did(anyone: Caller, did: str) -> None:
    """A DID that was never registered has no document."""
    expected = Answer(404, {"message": f"DID not registered: {did}"})

    assert await anyone.document(did) == expected


@pytest.mark.parametrize("change", ["deactivate", "take_down", "delete"])
async def test_document_of_an_account_that_is_not_active(call: Caller, change: str) -> None:
    """The document does not depend on the status of the account at its server."""
    await getattr(call.server, change)(call.person)

    assert await call.document() == document()


async def test_status_after_a_tombstone(call: Caller) -> None:
    """The server of an account knows nothing of a tombstone in the directory."""
    await call.server.tombstone(call.person)

    assert await call.account_status() == account_status()
    assert await call.resolve() == RESOLVED


async def test_document_after_a_migration(call: Caller) -> None:
    """After a migration the document names the new server; nothing else in it has changed."""
    await call.migrate()

    assert await call.document() == document(endpoint="<elsewhere>")


async def test_document_after_a_handle_change(call: Caller) -> None:
    """After a handle change the document names the new handle."""
    await call.rename()

    assert await call.document() == document(handle="new-<handle>")
