"""Difference: an answer in which the sandbox is not to be like the real server, and why."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from .answers import OVERLOOKED, Answer
from .caller import Caller
from .expected import APP, NOTHING, RESOLVED, UNRESOLVED, document, refused, session


@dataclass(frozen=True)
class Difference:
    """To *ask*, in this state of affairs, `sandbox` and `real` answer not the same."""

    name: str
    ask: Callable[[Caller], Awaitable[Answer]]
    sandbox: Answer
    real: Answer
    why: str


async def _log_in_renamed(call: Caller) -> Answer:
    await call.rename()
    return await call.log_in(call.person.did)


async def _log_in_migrated(call: Caller) -> Answer:
    await call.migrate()
    return await call.log_in()


async def _resolve_migrated(call: Caller) -> Answer:
    await call.migrate()
    return await call.resolve()


async def _profile_cid(call: Caller) -> Answer:
    await call.server.show_name(call.person, "Alice")
    call.overlook("uri", "value")
    return await call.profile()


async def _log_in_tombstoned(call: Caller) -> Answer:
    await call.server.tombstone(call.person)
    return await call.log_in()


async def _look_up_tombstoned(call: Caller) -> Answer:
    await call.server.tombstone(call.person)
    return await call.document()


async def _list_passwords(call: Caller) -> Answer:
    token = (await call.session()).access
    return await call.ask("GET", "server.listAppPasswords", token)


async def _revoke_password(call: Caller) -> Answer:
    token = (await call.session()).access
    return await call.ask("POST", "server.revokeAppPassword", token, json={"name": "postcore"})


async def _make_password(call: Caller) -> Answer:
    token = (await call.session()).access
    return await call.ask("POST", "server.createAppPassword", token, json={"name": "another"})


async def _describe(call: Caller) -> Answer:
    return await call.ask("GET", "server.describeServer")


async def _half_a_body(call: Caller) -> Answer:
    headers = {"content-type": "application/json"}
    return await call.ask("POST", "server.createSession", content=b"{", headers=headers)


def _unserved(method: str) -> Answer:
    return refused(400, "InvalidRequest", f"No service configured for com.atproto.{method}")


def _described(*domains: str) -> Answer:
    body = {
        "did": "did:web:localhost",
        "availableUserDomains": list(domains),
        "inviteCodeRequired": False,
        "links": {},
        "contact": {},
    }
    return Answer(200, body)


def _hashed(cid: str) -> Answer:
    return Answer(200, {"uri": OVERLOOKED, "cid": cid, "value": OVERLOOKED})


_UNAVAILABLE = Answer(410, {"message": "DID not available: <did>"})
_PASSWORDS = Answer(
    200, {"passwords": [{"name": "postcore", "createdAt": "<createdAt>", "privileged": False}]}
)
_NO_PASSWORDS = "In the sandbox, its control surface makes and revokes app passwords."
_CACHED = "The real server keeps documents for a day, and looks for newer ones once an hour."

DIFFERENCES = (
    Difference(
        "A session after a handle change names the old handle in its document",
        _log_in_renamed,
        session(APP, handle="new-<handle>"),
        session(APP, handle="new-<handle>", documented=document()),
        _CACHED,
    ),
    Difference(
        "A session after a migration names the old server in its document",
        _log_in_migrated,
        session(APP, status="deactivated", documented=document(endpoint="<elsewhere>")),
        session(APP, status="deactivated"),
        _CACHED,
    ),
    Difference(
        "The handle of an account that has moved",
        _resolve_migrated,
        RESOLVED,
        UNRESOLVED,
        "The sandbox also resolves handles that DNS would resolve, since there is no DNS.",
    ),
    Difference(
        "A session of a tombstoned DID has a document",
        _log_in_tombstoned,
        session(APP).without("didDoc"),
        session(APP),
        _CACHED,
    ),
    Difference(
        "The document of a tombstoned DID",
        _look_up_tombstoned,
        _UNAVAILABLE,
        replace(_UNAVAILABLE, status=404),
        "The sandbox answers as plc.directory does, which is newer than what is published.",
    ),
    Difference(
        "The hash of a record",
        _profile_cid,
        _hashed("bafyreifvcthr7izgx6briwvevvvr5lduwozrpub4feopwxuomeosfsrari"),
        _hashed("bafyreih3fl4ddihebc5fk7lbx4gg56jtiqpfxhabbgrbteacb6alqej7me"),
        "The sandbox has a hash of its own, since its records are not signed.",
    ),
    Difference(
        "An app password lists the app passwords",
        _list_passwords,
        _unserved("server.listAppPasswords"),
        _PASSWORDS,
        _NO_PASSWORDS,
    ),
    Difference(
        "An app password revokes an app password",
        _revoke_password,
        _unserved("server.revokeAppPassword"),
        NOTHING,
        _NO_PASSWORDS,
    ),
    Difference(
        "An app password makes no app password",
        _make_password,
        _unserved("server.createAppPassword"),
        refused(400, "InvalidToken", "Bad token scope"),
        _NO_PASSWORDS,
    ),
    Difference(
        "The server describes itself",
        _describe,
        _described(".test", ".bsky.social"),
        _described(".test"),
        "The specification's sample account ends in .bsky.social.",
    ),
    Difference(
        "A login in half a body",
        _half_a_body,
        refused(
            400,
            "SyntaxError",
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        refused(400, "SyntaxError", "Expected property name or '}' in JSON at position 1"),
        "The sentence is the JSON reader's own, Python's here and V8's there.",
    ),
)
