"""`postcore sandbox …`: only values on standard output, and a sentence for every failure."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import click
import pytest
from click.testing import CliRunner, Result

from service.cli.main import cli
from service.sandbox.cli import sandbox as commands
from service.sandbox.faults import FAULTS
from service.sandbox.network import Network
from service.sandbox.sandbox import Sandbox

from .caller import Caller, client
from .conftest import Clock
from .test_control import NEEDED

USER = "user.bsky.social"
APP_PASSWORD = re.compile(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}")
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(Network(now=clock)) as sandbox:
        yield sandbox


@pytest.fixture
async def run(sandbox: Sandbox) -> Run:
    """Runs a command beside the sandbox."""

    async def run(*arguments: str, given: str = "") -> Result:
        env = {"POSTCORE_SANDBOX_CONTROL_ADDRESS": sandbox.control.address}
        return await asyncio.to_thread(
            CliRunner().invoke, cli, ["sandbox", *arguments], input=given, env=env
        )

    return run


@pytest.fixture
async def caller(sandbox: Sandbox) -> AsyncIterator[Caller]:
    async with client(sandbox.first.origin) as http:
        yield Caller(http)


def value(result: Result) -> str:
    """The one line on standard output."""
    assert result.exit_code == 0, result.stderr
    [line] = result.stdout.splitlines()
    return line


def done(result: Result) -> str:
    """The one line on standard error, of a command that prints no value."""
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    [line] = result.stderr.splitlines()
    return line


def fault(result: Result) -> str:
    """The sentence that a command fails with."""
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


async def test_accounts_list(run: Run, sandbox: Sandbox) -> None:
    """A line each, its fields parted by tabs."""
    sandbox.network.tombstone("alice.test")
    sandbox.network.create_app_password(USER, called="other", password="abcd")

    lines = (await run("accounts", "list")).stdout.splitlines()

    did = sandbox.network.account(USER).did
    passwords = "correct-horse-battery\tsandbox=abcd-efgh-ijkl-mnop,other=abcd"
    assert lines[0] == f"{USER}\tactive\t{passwords}\t{sandbox.first.origin}\t{did}"
    assert lines[1].split("\t")[:2] == ["alice.test", "tombstoned"]
    assert len(lines) == 6


async def test_accounts_create(run: Run, caller: Caller) -> None:
    """Prints the app password, and the main one on standard error."""
    made = await run("accounts", "create", "new.test", "--email", "a@b.test")

    assert APP_PASSWORD.fullmatch(value(made))
    session = await caller.session("a@b.test", value(made))
    main = made.stderr.strip().rpartition(" ")[2]
    assert made.stderr == f"made new.test, {session['did']}; its main password is {main}\n"
    assert (await caller.session("new.test", main))["did"] == session["did"]


async def test_passwords_come_by_standard_input(run: Run, caller: Caller) -> None:
    """A line each, so that none has to stand among the arguments."""
    both = ("--password-stdin", "--app-password-stdin")
    made = await run("accounts", "create", "new.test", *both, given="main one\nits app\r\n")
    assert value(made) == "its app"
    more = await run("app-passwords", "create", "new.test", "--password-stdin", given="another")
    assert value(more) == "another"
    for password in ("main one", "its app", "another"):
        assert (await caller.log_in("new.test", password)).status_code == 200
    changed = await run("change-password", "new.test", "--password-stdin", given="main two\n")
    assert value(changed) == "main two"
    assert (await caller.log_in("new.test", "main two")).status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["accounts", "create", "new.test", "--app-password-stdin"],
        ["app-passwords", "create", USER, "--password-stdin"],
        ["change-password", USER, "--password-stdin"],
    ],
)
async def test_no_password_is_no_password(run: Run, sandbox: Sandbox, arguments: list[str]) -> None:
    """An empty input is an error, and changes nothing."""
    before = list(map(repr, sandbox.network.accounts()))
    assert fault(await run(*arguments)) == "standard input holds no password"
    assert list(map(repr, sandbox.network.accounts())) == before


async def test_accounts_delete(run: Run, sandbox: Sandbox) -> None:
    """By any of its names."""
    did = sandbox.network.account(USER).did
    assert done(await run("accounts", "delete", did)) == f"deleted {did}"
    assert did not in [each.did for each in sandbox.network.accounts()]


async def test_app_passwords(run: Run, sandbox: Sandbox, caller: Caller) -> None:
    """One is made and printed, and revoked by its name: the usual one, where none is given."""
    made = await run("app-passwords", "create", USER, "--name", "mine", "--privileged")
    assert APP_PASSWORD.fullmatch(value(made))
    assert made.stderr == f"made the app password mine of {USER}\n"
    assert sandbox.network.account(USER).app_passwords["mine"].privileged

    assert done(await run("app-passwords", "revoke", USER)).startswith("revoked the app password")
    assert (await caller.log_in(USER)).status_code == 401
    assert (await caller.log_in(USER, value(made))).status_code == 200
    await run("app-passwords", "revoke", USER, "mine")
    assert (await caller.log_in(USER, value(made))).status_code == 401


async def test_change_password(run: Run, caller: Caller) -> None:
    """Prints the new one."""
    made_up = value(await run("change-password", USER))
    assert (await caller.log_in(USER, made_up)).status_code == 200


@pytest.mark.parametrize(
    ("switches", "sentence"),
    [
        (["take-down"], "takendown"),
        (["take-down", "lift"], "active"),
        (["suspend"], "suspended"),
        (["deactivate"], "deactivated"),
        (["deactivate", "activate"], "active"),
        (["tombstone"], "tombstoned"),
    ],
)
async def test_a_word_changes_an_account(run: Run, switches: list[str], sentence: str) -> None:
    """And reports it in a sentence; there is no value to print."""
    for switch in switches:
        printed = done(await run(switch, USER))
    assert printed == f"{USER} is now {sentence}"


async def test_rename(run: Run, sandbox: Sandbox) -> None:
    """The sentence says both handles."""
    assert done(await run("rename", USER, "New.test")) == f"{USER} is now new.test"
    assert sandbox.network.account("new.test")


async def test_migrate(run: Run, sandbox: Sandbox) -> None:
    """Prints the origin of the server that it moved to."""
    assert value(await run("migrate", USER)) == sandbox.second.origin
    assert value(await run("migrate", USER)) == sandbox.first.origin


@pytest.mark.parametrize("kind", FAULTS)
async def test_break_and_mend(run: Run, sandbox: Sandbox, kind: str) -> None:
    """Each kind has a command with what can be set of it; it prints the fault's number."""
    settings = [f"--{name}={setting}" for name, setting in NEEDED.get(kind, {}).items()]

    broken = await run("break", kind, "createSession", "--account", USER, "--calls", "2", *settings)

    assert value(broken) == "1"
    assert broken.stderr == f"{kind} on createSession, times 2\n"
    [breakage] = sandbox.network.breakages
    did = sandbox.network.account(USER).did
    assert (breakage.method, breakage.account, breakage.left) == ("createSession", did, 2)
    fields = (await run("faults")).stdout.rstrip("\n").split("\t")
    assert fields[:5] == ["1", kind, "createSession", did, "2"]
    assert done(await run("mend", "1")) == "mended"
    assert list(sandbox.network.breakages) == []


async def test_faults_are_listed_with_what_is_set(run: Run) -> None:
    """A line each; where one is for all accounts and calls, nothing stands there."""
    printed = (await run("break", "status", "all", "--status", "503")).stderr
    assert printed == "status on all, until it is mended\n"
    await run("break", "drip", "plc", "--seconds", "2")

    assert (await run("faults")).stdout.splitlines() == [
        "1\tstatus\tall\t\t\tstatus=503 error=",
        "2\tdrip\tplc\t\t\tseconds=2.0",
    ]
    await run("mend")
    assert (await run("faults")).stdout == ""


async def test_counts(run: Run, caller: Caller) -> None:
    """All methods, or the number of one alone."""
    await caller.log_in(USER)
    await caller.log_in(USER)
    await caller.resolve(USER)

    assert (await run("counts")).stdout == "createSession\t2\nresolveHandle\t1\n"
    assert value(await run("counts", "createSession")) == "2"
    assert value(await run("counts", "com.atproto.server.createSession")) == "2"
    assert value(await run("counts", "refreshSession")) == "0"
    assert done(await run("counts", "--reset")) == "counting from nought"
    assert (await run("counts")).stdout == ""


async def test_reset(run: Run, sandbox: Sandbox) -> None:
    """As at the start."""
    sandbox.network.delete(USER)
    assert done(await run("reset")) == "everything is as at the start"
    assert sandbox.network.account(USER)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lift", "nobody.test"], "there is no account nobody.test here; list them: postcore"),
        (["lift", USER], f"{USER} is active, not takendown or suspended"),
        (["lift", "\udcff"], "there is no account ? here"),
        (["rename", USER, "\udcff"], r"\udcff is no full handle"),
        (["accounts", "create", USER], f"{USER} is taken"),
        (["app-passwords", "revoke", USER, "x"], f"{USER} has no app password named x"),
        (["break", "hang", "nonsense"], "there is no method nonsense here; there are _health"),
        (["break", "slow", "all", "--seconds", "0"], "seconds must be more than 0"),
        (["mend", "7"], "no fault of the number 7 is in force"),
    ],
)
async def test_a_failure_is_a_sentence(run: Run, arguments: list[str], sentence: str) -> None:
    """The sandbox's own."""
    assert fault(await run(*arguments)).startswith(sentence)


@pytest.mark.parametrize(
    "arguments",
    [
        ["break", "explode", "all"],
        ["break", "status", "all"],
        ["break", "status", "all", "--status", "high"],
        ["break", "hang"],
        ["mend", "one"],
        ["lift"],
        ["nonsense"],
    ],
)
async def test_wrong_usage_has_exit_code_2(run: Run, arguments: list[str]) -> None:
    """As of any command."""
    result = await run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")


def every_command(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)
        yield *path, name


@pytest.mark.parametrize("path", sorted(every_command(commands)), ids=" ".join)
def test_help(path: tuple[str, ...]) -> None:
    """Every command has a first sentence, and needs neither settings nor a sandbox for it."""
    result = CliRunner().invoke(
        cli, ["sandbox", *path, "-h"], env={"POSTCORE_LOG_LEVEL": "loud"}, prog_name="postcore"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    usage, _, sentence, *_ = result.stdout.splitlines()
    assert usage.startswith(f"Usage: postcore sandbox {' '.join(path)} [OPTIONS]")
    assert sentence.strip()[0].isalnum()


def test_no_sandbox_is_a_sentence() -> None:
    """With the address that was asked, and what to do."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*closed.getsockname())
        env = {"POSTCORE_SANDBOX_CONTROL_ADDRESS": address}
        sentence = fault(CliRunner().invoke(cli, ["sandbox", "accounts", "list"], env=env))
    assert sentence.startswith(f"no sandbox is running at {address}; start one with")


@pytest.mark.parametrize("body", [b"<p>Hello", b"[]", b""])
def test_another_program_is_recognised(body: bytes) -> None:
    """Another program may listen at the address."""

    class AnotherProgram(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), AnotherProgram) as server:
        Thread(target=server.handle_request).start()
        address = f"127.0.0.1:{server.server_port}"
        env = {"POSTCORE_SANDBOX_CONTROL_ADDRESS": address}
        result = CliRunner().invoke(cli, ["sandbox", "accounts", "list"], env=env)
    assert fault(result) == f"what answers at {address} is no sandbox"


def test_wrong_settings_stop_a_command() -> None:
    """As they stop any other."""
    env = {"POSTCORE_SANDBOX_CONTROL_ADDRESS": "nowhere"}
    result = CliRunner().invoke(cli, ["sandbox", "reset"], env=env)
    assert result.exit_code == 1
    assert "POSTCORE_SANDBOX_CONTROL_ADDRESS: must be HOST:PORT" in result.stderr


async def test_no_password_of_a_caller_reaches_the_arguments(run: Run) -> None:
    """No command takes one there."""
    for path in every_command(commands):
        help_text = (await run(*path, "-h")).stdout
        assert not re.search(r"--(app-)?password (TEXT|PASSWORD)", help_text), json.dumps(path)
