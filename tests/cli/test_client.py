"""`postcore client`: replies in JSON, refusals in words, and an exit code for each kind."""

import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from click.testing import CliRunner
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.cli.client_failure import KINDS, Kind
from service.cli.main import cli
from service.domain.model import Scope
from service.transport.status import STATUS
from tests.cli.home import COMMAND, DEADLINE, Home, Outcome
from tests.docs.page import Page
from tests.support import sharing
from tests.support.authority import Authority
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
LOGGED = re.compile(r"\d{4}-\d\d-\d\dT\S+Z ")
WRONG = "wxyz-efgh-ijkl-mnop"
IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


class Terminal:
    """Runs `postcore client` in an empty folder, against one service."""

    def __init__(self, folder: Path, address: str, api_key: str) -> None:
        self.folder = folder / "empty"
        self.folder.mkdir()
        self.environ = Home(self.folder).environ(GRPC_ADDRESS=address, API_KEY=api_key)

    async def run(self, *arguments: str, stdin: bytes = b"", **environ: str) -> Outcome:
        """Run a command in this process, and return its outcome."""
        done = await asyncio.to_thread(
            CliRunner().invoke,
            cli,
            ["client", *arguments],
            input=stdin,
            env={**self.environ, **environ},
            prog_name="postcore",
            catch_exceptions=False,
        )
        # the service, which runs in this process, logs to the same stream
        gc.collect()  # what is left of a refused call keeps its connection open
        lines = (line for line in done.stderr.splitlines(True) if not LOGGED.match(line))
        return Outcome(done.exit_code, done.stdout, "".join(lines))

    async def started(
        self, *arguments: str, out: int = subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            "client",
            *arguments,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
def terminal(sandboxed: Running, tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, sandboxed.address, sandboxed.api_key)


async def test_the_story(terminal: Terminal, sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """Connect, get, list, verify, lease and watch print the contract's messages."""
    person = await sandbox.person()
    connected = await terminal.run(
        "connect",
        "bluesky",
        f"handle={person.handle}",
        "--secret-stdin",
        stdin=f"{person.app_password}\n".encode(),
    )
    assert (connected.code, connected.err) == (0, "")
    reply = json.loads(connected.out)
    assert reply.keys() == {"profileKey", "platform", "username"}
    key = reply["profileKey"]
    profile = json.loads((await terminal.run("get", key)).out)
    assert profile["connectedPlatforms"][0]["accountId"] == person.did
    listed = (await terminal.run("list")).out.splitlines()
    assert [json.loads(line) for line in listed] == [profile]
    assert (await terminal.run("list", "--needs-reconnect-only")).out == ""
    verified = json.loads((await terminal.run("verify", key, "bluesky")).out)
    assert verified["state"] == "CONNECTION_STATE_HEALTHY"
    leasing, _ = await sandboxed.new_key(Scope.SESSIONS_LEASE)
    leased = json.loads((await terminal.run("lease", key, "bluesky", POSTCORE_API_KEY=leasing)).out)
    assert leased["authorization"] == f"Bearer {leased['accessToken']}"
    token = leased["accessToken"].encode()
    again = await terminal.run(
        "lease", key, "bluesky", "--rejected-stdin", stdin=token, POSTCORE_API_KEY=leasing
    )
    assert json.loads(again.out).keys() == leased.keys()


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


async def test_wrong_usage_repeats_no_secret(terminal: Terminal) -> None:
    """It is exit code 2, and says what to do."""
    for arguments, stdin, said in WRONG_USAGE:
        outcome = await terminal.run(*arguments, stdin=stdin)
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert said in " ".join(outcome.err.split()), outcome
        assert SECRET not in outcome.err


async def test_api_keys_come_from_anywhere_but_arguments(
    terminal: Terminal, sandboxed: Running, tmp_path: Path
) -> None:
    """A file wins over the environment; without both, one is asked for at a terminal only."""
    file = tmp_path / "key"
    file.write_text(f"{sandboxed.api_key}\n")
    assert (
        await terminal.run("list", "--api-key-file", str(file), POSTCORE_API_KEY="no")
    ).code == 0
    outcome = await terminal.run("list", POSTCORE_API_KEY="")
    assert outcome.code == 2
    assert "there is no API key: set POSTCORE_API_KEY, or give --api-key-file" in outcome.err
    for bad in ("two words", "ключ", "x" * 1025):
        outcome = await terminal.run("list", POSTCORE_API_KEY=bad)
        assert outcome.code == Kind.API_KEY
        assert bad not in outcome.err


@pytest.mark.process
async def test_a_terminal_is_asked_without_echo(
    terminal: Terminal, sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """The API key and the app password are not shown; the handle is."""
    person = await sandbox.person()
    environ = {**terminal.environ, "POSTCORE_API_KEY": ""}
    command = [sys.executable, "-c", IN_TERMINAL, *COMMAND, "client", "connect", "bluesky"]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=terminal.folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    shown = b""
    async with asyncio.timeout(DEADLINE):
        for prompt, typed in (
            (b"API key: ", sandboxed.api_key),
            (b"Bluesky handle: ", person.handle),
            (b"App password: ", person.app_password),
        ):
            while not shown.endswith(prompt):
                part = await process.stdout.read(1)
                assert part, shown
                shown += part
            process.stdin.write(f"{typed}\n".encode())
        shown += await process.stdout.read()
        assert await process.wait() == 0
    assert f'"username": "{person.handle}"'.encode() in shown
    assert shown.count(person.handle.encode()) == 2
    assert sandboxed.api_key.encode() not in shown
    assert person.app_password.encode() not in shown


@pytest.mark.process
async def test_a_watch_goes_on_after_its_cursor(
    terminal: Terminal, sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """A line has events and a cursor; it ends at once when nobody reads on, and at Ctrl+C."""
    person = await sandbox.person()
    process = await terminal.started("watch")
    assert process.stdout
    async with asyncio.timeout(DEADLINE):
        first = json.loads(await process.stdout.readline())
        assert first["events"] == []
        await sandboxed.connect(person.handle, person.app_password)
        second = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.stderr
    assert await process.stderr.read() == b""
    [event] = second["events"]
    assert event["kind"] == "KIND_CONNECTED"
    again = await terminal.started("watch", "--cursor", first["cursor"])
    assert again.stdout
    async with asyncio.timeout(DEADLINE):
        message = json.loads(await again.stdout.readline())
        while not message["events"]:
            message = json.loads(await again.stdout.readline())
        assert message["events"] == [event]
        again.stdout._transport.close()  # type: ignore[attr-defined]
        assert await again.wait() == 141


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_a_watch_ends_with_its_server(
    home: Home, api_key: str, tmp_path: Path, number: signal.Signals
) -> None:
    """At a drain and at a kill, it says with which cursor to go on, and is unavailable."""
    with home.serve() as server:
        terminal = Terminal(tmp_path, server.address, api_key)
        process = await terminal.started("watch")
        assert process.stdout
        assert process.stderr
        async with asyncio.timeout(DEADLINE):
            cursor = json.loads(await process.stdout.readline())["cursor"]
            server.process.send_signal(number)
            assert await process.wait() == Kind.UNAVAILABLE
            errors = (await process.stderr.read()).decode().splitlines()
    reason = "SERVICE_UNAVAILABLE" if number is signal.SIGTERM else "UNAVAILABLE"
    assert errors[0].startswith(f"Error: {reason}: ")
    assert errors[-1] == f"  go on with: postcore client watch --cursor {cursor}"


@asynccontextmanager
async def answering(status: status_pb2.Status | None) -> AsyncIterator[str]:
    """Run a server that refuses every call with *status*, or never answers; yield its address."""

    class Refusing(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if "grpc.health" in details.method:
                return None  # a client takes a server without health for a healthy one

            async def refuse(_: bytes, context: Any) -> None:
                if status is None:
                    await asyncio.Event().wait()
                await context.abort_with_status(rpc_status.to_status(status))

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Refusing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_a_reason_of_a_newer_service_has_the_kind_of_its_code(tmp_path: Path) -> None:
    """Its words and metadata are shown; what could control a terminal is not."""
    detail = AnyMessage()
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
    async with answering(None) as address:
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


@pytest.mark.process
async def test_output_that_cannot_be_written_is_a_sentence(
    terminal: Terminal, sandboxed: Running
) -> None:
    """A full disk is an error, a reader that has gone is none."""
    key = await sandboxed.new_profile()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        process = await terminal.started("get", key, out=full)
        _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    finally:
        os.close(full)
    assert (process.returncode, errors) == (
        Kind.OTHER,
        b"Error: standard output: No space left on device\n",
    )


async def test_tls(sandbox: SandboxBluesky, database: Path, tmp_path: Path) -> None:
    """It trusts the given authority only, and presents a certificate where one is asked for."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("server", "127.0.0.1", "localhost")
    mine, my_key = authority.issue("client", "client")
    given = {
        **sandbox.settings(),
        "TLS_CERT_FILE": str(cert),
        "TLS_KEY_FILE": str(key),
        "TLS_CLIENT_CA_FILE": str(authority.file),
    }
    trust = ("--ca-file", str(authority.file))
    async with running(database, given) as service:
        terminal = Terminal(tmp_path, service.address, service.api_key)
        shown = ("--cert-file", str(mine), "--key-file", str(my_key))
        assert (await terminal.run("list", *trust, *shown)).code == 0
        for wrong in (trust, ("--tls",), ("--tls", *shown), ()):
            assert (await terminal.run("list", *wrong, "--timeout", "5")).code == Kind.UNAVAILABLE


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
