"""Login servers: what fourteen account servers answer, and what the service makes of it.

`answers.json` has the answers as the servers' sources show them, with source and version. `connect`
is the result of a connect, `check` that of the check of a stored connection.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import (
    AccountInactive,
    InvalidCredentials,
    PlatformRateLimited,
    PlatformUnavailable,
    ServiceError,
)
from service.domain.model import Account, Session
from service.domain.platform import SessionEnded

from . import servers_page
from .bluesky_login import ACCESS, DELETE, DID, REFRESH, REFRESHES, STANDING, LyingBluesky
from .internet import NOW
from .raw import DEADLINE_SECONDS, respond

ANSWERS = json.loads(Path(__file__).with_name("answers.json").read_text())["answers"]
PLACEHOLDERS = {
    "<access>": ACCESS,
    "<refresh>": REFRESH,
    "<ucan>": ACCESS,
    "<the same ucan>": ACCESS,
    "<epoch seconds>": str(NOW + 300),
    "<epoch seconds, 24 h ahead>": str(NOW + 24 * 3600),
    "<seconds>": "300",
    "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa": DID,
}


def of(operation: str) -> pytest.MarkDecorator:
    some = [answer for answer in ANSWERS if answer["operation"] == operation]
    ids = [f"{answer['server']}: {answer['case']}" for answer in some]
    return pytest.mark.parametrize("answer", some, ids=ids)


def wire(answer: dict[str, Any]) -> bytes:
    """*answer* as the server sends it."""
    body, headers = json.dumps(answer["body"]), json.dumps(answer["headers"])
    for placeholder, value in PLACEHOLDERS.items():
        body, headers = body.replace(placeholder, value), headers.replace(placeholder, value)
    content = json.loads(body)
    return respond(b"" if content is None else content, answer["status"], **json.loads(headers))


def outcome(error: ServiceError) -> str:
    """What *error* says, in a few words."""
    match error:
        case InvalidCredentials():
            return error.metadata["cause"]
        case AccountInactive():
            return f"inactive: {error.metadata['status']}"
        case PlatformRateLimited():
            return f"limited for {error.retry_after:.0f} s"
        case PlatformUnavailable(retry_after=None):
            return "unavailable"
        case _:
            return f"unavailable for {error.retry_after:.0f} s"


@of("createSession")
@pytest.mark.parametrize("path", ["connect", "check"])
async def test_logins(bluesky: LyingBluesky, answer: dict[str, Any], path: str) -> None:
    """One login is spent, and no session is left but the one that is returned."""
    try:
        login = await bluesky.log_in(wire(answer), is_proof=path == "check")
    except ServiceError as error:
        was = outcome(error)
    else:
        was = f"login {login.reported_username}".strip()
    assert await bluesky.tasks.drain(DEADLINE_SECONDS) == 0
    assert was == answer[path]
    opens = "<refresh>" in json.dumps(answer["body"])
    assert len(bluesky.ended) == (opens and not was.startswith("login"))


@of("refreshSession")
async def test_refreshes(bluesky: LyingBluesky, answer: dict[str, Any]) -> None:
    """At most the session has ended; no login is spent."""
    bluesky.server.on(REFRESHES, wire(answer))
    try:
        refreshed = await bluesky.platform.refresh(Session("a", "old", 0), bluesky.account)
    except SessionEnded:
        was = "ended"
    except ServiceError as error:
        was = outcome(error)
    else:
        was = f"refreshed {refreshed.reported_username}".strip()
    assert was == answer["check"]
    assert bluesky.ended == []


@of("deleteSession")
async def test_log_outs(bluesky: LyingBluesky, answer: dict[str, Any]) -> None:
    """A server that wants the access token gets it, where it is not the one that was refused."""
    bluesky.server.on(DELETE, wire(answer), respond(b""))
    try:
        await bluesky.platform.log_out(
            Session(ACCESS, REFRESH, 0), Account("", "", bluesky.server.origin)
        )
    except ServiceError as error:
        was = outcome(error)
    else:
        was = f"ended by call {len(bluesky.ended)}"
    assert was == answer["check"]


@of("getRepoStatus")
async def test_account_statuses(bluesky: LyingBluesky, answer: dict[str, Any]) -> None:
    bluesky.server.on(STANDING, wire(answer))
    try:
        was = (await bluesky.platform.account_status(bluesky.account)).value
    except ServiceError as error:
        was = outcome(error)
    assert was == answer["check"]


def test_the_page_has_every_answer() -> None:
    """docs/servers.md; `python -m tests.platforms.servers_page` regenerates it."""
    text, _, made = servers_page.PAGE.read_text().partition(servers_page.MARK)
    assert made == f"\n{servers_page.tables()}"
    assert "fourteen" in text
    servers = {answer["server"] for answer in ANSWERS}
    assert len(servers - {"bsky.social (reported)"}) == 14
