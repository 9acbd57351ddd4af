"""getRecord: the record in which an account shows a name of its own; createRecord: a post."""

import pytest

from .answers import Answer
from .caller import POST, Caller
from .expected import CRASHED, NO_RECORD, PROFILE, refused

UNKNOWN = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


async def test_profile_record(call: Caller) -> None:
    """The record of an account that shows a name holds it, and is public."""
    await call.server.show_name(call.person, "Alice")
    call.overlook("cid")

    record = {"$type": PROFILE, "displayName": "Alice"}
    body = {"uri": f"at://<did>/{PROFILE}/self", "cid": "…", "value": record}
    assert await call.profile() == Answer(200, body).overlooking("cid")


async def test_profile_record_of_an_account_without_one(anyone: Caller) -> None:
    """An account that shows no name has no record of it."""
    message = f"Could not locate record: at://<did>/{PROFILE}/self"

    assert await anyone.profile() == refused(400, "RecordNotFound", message)


async def test_profile_record_by_handle(call: Caller) -> None:
    """A record is found by the account's handle too, but not in capitals."""
    await call.server.show_name(call.person, "Alice")
    call.overlook("cid")

    assert (await call.profile(call.person.handle)).status == 200
    assert await call.profile(call.person.handle.upper()) == NO_RECORD


async def test_another_record(anyone: Caller) -> None:
    """A record that is not there is named in the refusal."""
    message = "Could not locate record: at://<did>/app.bsky.feed.post/abc"
    where = {"repo": anyone.person.did, "collection": "app.bsky.feed.post", "rkey": "abc"}

    answer = await anyone.ask("GET", "repo.getRecord", params=where)

    assert answer == refused(400, "RecordNotFound", message)


@pytest.mark.parametrize(
    "wrong",
    [{"repo": "nonsense"}, {"repo": ""}, {"collection": "x"}, {"rkey": "."}, {"rkey": "a b"}],
    ids=["repo", "no repo", "collection", "dot", "space"],
)
async def test_malformed_record(anyone: Caller, wrong: dict[str, str]) -> None:
    """A malformed place of a record brings the server down, as a malformed handle does."""
    where = {"repo": anyone.person.did, "collection": PROFILE, "rkey": "self", **wrong}

    assert await anyone.ask("GET", "repo.getRecord", params=where) == CRASHED


async def test_profile_record_of_an_unknown_account(anyone: Caller) -> None:
    """An account that the server does not host has no records there."""
    assert await anyone.profile(UNKNOWN) == NO_RECORD


@pytest.mark.parametrize("change", ["deactivate", "take_down", "delete"])
async def test_profile_record_of_an_account_that_is_not_active(call: Caller, change: str) -> None:
    """An account that is not active shows no records."""
    await call.server.show_name(call.person, "Alice")

    await getattr(call.server, change)(call.person)

    assert await call.profile() == NO_RECORD


async def test_a_post(call: Caller) -> None:
    """An access token writes, also after its app password was revoked."""
    session = await call.session()
    await call.server.revoke(call.person)
    parts = ("uri", "cid", "commit")
    call.overlook(*parts)

    written = {**dict.fromkeys(parts, "…"), "validationStatus": "valid"}
    assert await call.write(session) == Answer(200, written).overlooking(*parts)


async def test_a_post_of_a_deactivated_account(call: Caller) -> None:
    """An account that is not active cannot write."""
    session = await call.session()
    await call.server.deactivate(call.person)

    assert await call.write(session) == refused(401, "AccountDeactivated", "Account is deactivated")


async def test_a_post_for_an_unknown_account(call: Caller) -> None:
    """A token writes for no account that is not there."""
    session = await call.session()
    record = {"$type": POST, "text": "hi", "createdAt": "2026-01-01T00:00:00Z"}
    body = {"repo": UNKNOWN, "collection": POST, "record": record}

    answer = await call.ask("POST", "repo.createRecord", session.access, json=body)

    assert answer == refused(403, "AccountNotFound", "Account not found")
