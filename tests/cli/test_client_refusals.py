"""`postcore client`: refusals in words, and an exit code for each kind."""

import re
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from service.cli.client_failure import KINDS, Kind
from service.transport.status import STATUS
from tests.cli.home import Outcome
from tests.cli.terminal import Terminal, answering
from tests.docs.page import Page
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import running

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
WRONG = "wxyz-efgh-ijkl-mnop"


@pytest.mark.slow
async def test_refusals_have_a_kind(terminal: Terminal, sandbox: SandboxBluesky) -> None:
    """Each has its reason and metadata in words on standard error, and an exit code by its kind."""
    person = await sandbox.person()

    async def refused(*arguments: str, stdin: str = "", **environ: str) -> tuple[int, list[str]]:
        outcome = await terminal.run(*arguments, stdin=stdin.encode(), **environ)
        assert outcome.out == ""
        assert WRONG not in outcome.err
        return outcome.code, outcome.err.splitlines()

    connect = ("connect", "bluesky", f"handle={person.handle}", "--secret-stdin")
    code, lines = await refused(*connect, stdin=f"{WRONG}\n")
    assert code == Kind.ACCOUNT
    assert lines[0] == "Error: INVALID_CREDENTIALS: Invalid Bluesky credentials"
    assert any(line.startswith("  cause: REJECTED_BY_PLATFORM (The account's") for line in lines)
    code, lines = await refused("connect", "linkedin")
    assert (code, lines[0].split(": ")[1]) == (Kind.INPUT, "USE_GET_FOR_OAUTH")
    code, lines = await refused("connect", "myspace")
    assert (code, lines[0].split(": ")[1]) == (Kind.INPUT, "UNSUPPORTED_PLATFORM")
    assert "  supported: bluesky,ghost,mastodon,wordpress" in lines
    code, lines = await refused("get", "prof_gone")
    assert (code, lines[0]) == (Kind.NOT_FOUND, "Error: PROFILE_NOT_FOUND: Profile not found")
    code, lines = await refused("list", POSTCORE_API_KEY="pc_live_wrong")
    assert (code, lines[0].split(": ")[1]) == (Kind.API_KEY, "INVALID_API_KEY")
    code, lines = await refused("lease", "prof_gone", "bluesky")
    assert code == Kind.API_KEY
    assert "  requiredScope: sessions:lease" in lines
    code, lines = await refused("watch", "--cursor", "nonsense")
    assert code == Kind.INPUT
    assert "  field cursor: is not a cursor of this watch" in lines
    code, lines = await refused("get", "x" * 65_537)
    assert (code, lines) == (Kind.INPUT, ["Error: the request is larger than 65536 bytes"])
    code, lines = await refused("list", "--address", "127.0.0.1:1")
    assert code == Kind.UNAVAILABLE
    assert "Connection refused" in lines[0]


async def test_a_limit_says_when_to_go_on(
    sandbox: SandboxBluesky, database: Path, tmp_path: Path
) -> None:
    """The RetryInfo is shown in seconds."""
    person = await sandbox.person()
    given = {**sandbox.settings(), "CONNECT_LOGIN_BUDGET": "1,1", "TENANT_LOGIN_BUDGET": "1,1"}
    async with running(database, given) as service:
        await service.connect(person.handle, person.app_password)
        terminal = Terminal(tmp_path, service.address, service.api_key)
        outcome = await terminal.run(
            "connect",
            "bluesky",
            f"handle={person.handle}",
            "--secret-stdin",
            stdin=person.app_password.encode(),
        )
    assert outcome.code == Kind.LIMIT
    assert re.search(r"^  retry: in \d+ s$", outcome.err, re.MULTILINE)


SECRET = "abcd-efgh-ijkl-mnop"
WRONG_USAGE: list[tuple[list[str], bytes, str]] = [
    (["connect", "bluesky", "handle=a", f"appPassword={SECRET}"], b"", "appPassword is a secret"),
    (["connect", "bluesky", f"app_password={SECRET}"], b"", "app_password is a secret"),
    (["connect", "bluesky", SECRET], b"", "must be FIELD=VALUE, with FIELD one of accessToken,"),
    (["connect", "bluesky", f"password={SECRET}"], b"", "must be FIELD=VALUE"),
    (["connect", "bluesky", "handle=a\tb"], b"", "must be printable characters"),
    (["connect", "bluesky", "handle=a"], b"", "App password is missing: run this in a terminal"),
    (["connect", "bluesky", "--secret-stdin"], b"", "Bluesky handle is missing: give handle=…"),
    (["connect", "bluesky", "handle=a", "--secret-stdin"], b"", "standard input is empty"),
    (["connect", "bluesky", "handle=a", "--secret-stdin"], b"\xff\n", "is not UTF-8"),
    (["connect", "bluesky", "handle=a", "--secret-stdin"], b"a" * 65_537, "longer than 65536"),
    (["get", "prof_\udcff"], b"", "must be printable characters"),
    (["list", "--key-file", __file__], b"", "--cert-file and --key-file belong together"),
    (["list", "--plaintext", "--ca-file", __file__], b"", "--plaintext uses no certificates"),
    (["list", "--api-key-file", "/dev/null/none"], b"", "Not a directory"),
    (["list", "--timeout", "61"], b"", "is not in the range"),
]


@pytest.mark.slow
async def test_wrong_usage_repeats_no_secret(terminal: Terminal) -> None:
    """It is exit code 2, and says what to do."""
    for arguments, stdin, said in WRONG_USAGE:
        outcome = await terminal.run(*arguments, stdin=stdin)
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert said in " ".join(outcome.err.split()), outcome
        assert SECRET not in outcome.err


async def test_a_reason_of_a_newer_service_has_the_kind_of_its_code(tmp_path: Path) -> None:
    """Its words and metadata are shown; what could control a terminal is not."""
    detail = Any()
    detail.Pack(
        error_details_pb2.ErrorInfo(
            reason="BRAND_NEW", domain="profiles.postcore.dev", metadata={"colour": "\x1b[31m\n"}
        )
    )
    status = status_pb2.Status(code=9, message="New words\x9b", details=[detail])
    async with answering(status) as address:
        outcome = await Terminal(tmp_path, address, "key").run("get", "prof_x")
    assert outcome == Outcome(
        Kind.ACCOUNT, "", "Error: BRAND_NEW: New words\ufffd\n  colour: \ufffd[31m\ufffd\n"
    )


async def test_a_deadline_says_that_the_call_may_have_had_its_effect(tmp_path: Path) -> None:
    """A service that never answers is unavailable after --timeout."""
    async with answering() as address:
        terminal = Terminal(tmp_path, address, "key")
        outcome = await terminal.run("verify", "prof_x", "platform", "--timeout", "0.5")
    assert outcome == Outcome(
        Kind.UNAVAILABLE,
        "",
        "Error: DEADLINE_EXCEEDED: Deadline Exceeded\n"
        "  retry: the call may have had its effect; repeat it with its idempotency key\n",
    )


async def test_an_unknown_method_is_of_no_kind(tmp_path: Path) -> None:
    """A service that lacks the method, as one that is not ours: exit code 1."""
    status = status_pb2.Status(code=12, message="Method not found!")
    async with answering(status) as address:
        outcome = await Terminal(tmp_path, address, "key").run("get", "prof_x")
    assert outcome == Outcome(Kind.OTHER, "", "Error: UNIMPLEMENTED: Method not found!\n")


def test_the_page_lists_every_kind() -> None:
    """docs/client.md has each exit code with its gRPC codes; those of the contract all have one."""
    rows = {row[0]: row for row in Page.read("docs/client.md").section("Refusals").rows()}
    assert {int(code) for code in rows if code.isdigit()} - {141} == {0, *Kind}
    for code, kind in KINDS.items():
        assert code.name in rows[str(kind.value)][2]
    for status in STATUS.values():
        assert (
            status.code in KINDS or status.name in ("INTERNAL",) or status.http in (404, 405, 501)
        )
