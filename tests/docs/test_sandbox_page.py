"""docs/sandbox.md: each row of its tables brings what it says.

Its blocks are run in test_commands.
"""

import re

import grpc.aio
import pytest
from click.testing import CliRunner

from postcore.profiles.v1 import error_reason_pb2, profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from service.cli.main import cli
from service.sandbox.accounts import SEEDS
from service.sandbox.cli import sandbox as sandbox_commands
from service.sandbox.faults import FAULTS
from tests.docs.page import Block, Page, shows
from tests.docs.shell import Shell
from tests.support.running import refusal_of

PAGE = Page.read("docs/sandbox.md")
ROWS = [*PAGE.section("Reasons").rows(), *PAGE.section("Verdicts").rows()]
FAULT_ROWS = {row[0].strip("`"): row[2] for row in PAGE.section("Faults").rows()}
ELSEWHERE = {
    "RATE_LIMIT_EXCEEDED": "A strict service",
    "SERVICE_UNAVAILABLE": "A database that is away",
}
"""Reasons that a section brings, since one line cannot."""
OTHER_PAGE = {"WEBHOOK_NOT_FOUND", "WEBHOOK_LIMIT_REACHED"}
OUT_OF_REACH = {"CURSOR_EXPIRED", "NOT_IMPLEMENTED", "INTERNAL"}


@pytest.mark.parametrize(
    ("name", "command", "reply"),
    [pytest.param(*row, id=f"{number:02} {row[0]}") for number, row in enumerate(ROWS, 1)],
)
def test_a_row_brings_what_it_says(shell: Shell, name: str, command: str, reply: str) -> None:
    """By itself, after the page's first commands; the last line printed is the one shown."""
    shell.reset()
    # one key is enough: the rest of the first commands costs nothing
    setup = [block for block in PAGE.section("Begin").blocks() if "api-keys" not in block.code][:1]
    assert "connect()" in setup[0].code

    _, printed = shell.run(setup[0], Block("sh", command.strip("`")))

    last = printed.text.splitlines()[-1] if printed.text else ""
    assert shows(reply.strip("`") + "\n", last + "\n"), printed.text
    if reason := re.match(r"`([A-Z_]+)`", name):
        assert reason[1] in last or last == "1"  # `1` is a count of calls


def test_every_reason_is_brought_or_out_of_reach() -> None:
    """Each of the contract: by a row, by a section, or the page says that it cannot be."""
    reasons = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
    shown = {match[1] for name, *_ in ROWS if (match := re.match(r"`([A-Z_]+)`", name))}
    for reason, title in ELSEWHERE.items():
        assert f"reason:{reason}" in PAGE.section(title).text
    for reason in OUT_OF_REACH | OTHER_PAGE:
        assert f"`{reason}`" in PAGE.section("Reasons").text
    states = {"HEALTHY", "BROKEN", "UNVERIFIED"}
    assert (shown - states) | ELSEWHERE.keys() | OUT_OF_REACH | OTHER_PAGE == reasons - {
        "UNSPECIFIED"
    }


def test_every_cause_has_its_row() -> None:
    """Of INVALID_CREDENTIALS."""
    shown = {cause for *_, reply in ROWS for cause in re.findall(r"cause:(\w+).*reason:INV", reply)}
    causes = error_reason_pb2.InvalidCredentialsCause.keys()
    assert shown == {name.removeprefix("INVALID_CREDENTIALS_CAUSE_") for name in causes[1:]}


def test_every_verdict_has_its_row() -> None:
    """All states, and all reasons to reconnect that need no wait and no fault of the service."""
    replies = " ".join(reply for *_, reply in ROWS)
    states = profile_pb2.ConnectionState.keys()[1:]
    reasons = set(profile_pb2.ReconnectReason.keys()[1:])
    late = {"RECONNECT_REASON_SERVER_MOVED", "RECONNECT_REASON_CREDENTIAL_UNREADABLE"}
    assert set(re.findall(r"CONNECTION_STATE_\w+", replies)) == set(states)
    assert set(re.findall(r"RECONNECT_REASON_\w+", replies)) == reasons - late


@pytest.mark.parametrize("command", FAULT_ROWS)
async def test_every_fault_does_to_connect_what_its_row_says(shell: Shell, command: str) -> None:
    """With an account of its own, and no deadline but the service's."""
    remote = shell.reset()
    # logins of this account may be paused in the end, and no other row needs it
    handle = f"row{list(FAULT_ROWS).index(command)}.test"
    [app_password] = remote.ask("POST", "accounts", handle=handle)["appPasswords"]
    env = {"POSTCORE_SANDBOX_CONTROL_ADDRESS": shell.control}
    broken = CliRunner().invoke(cli, ["sandbox", *command.split()], env=env)
    assert broken.exit_code == 0, broken.stderr

    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(shell.grpc, options) as channel:
        connect = profiles_grpc.ProfileServiceStub(channel).ConnectProfile
        request = pb.ConnectProfileRequest(
            platform="bluesky",
            credentials=pb.Credentials(handle=handle, app_password=app_password["password"]),
        )
        try:
            reply = await connect(request, metadata=(("x-api-key", shell.api_key),))
            outcome = "connects" if reply.username == handle else reply.username
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            cause = refusal.metadata.get("cause")
            outcome = f"{refusal.reason}, cause {cause}" if cause else refusal.reason

    assert outcome == FAULT_ROWS[command]


def test_every_fault_has_a_row() -> None:
    """What is set where nothing is said stands in it."""
    assert {command.split()[1] for command in FAULT_ROWS} == set(FAULTS)


def test_every_account_has_a_row() -> None:
    """With both its passwords."""
    shown = [tuple(cell.strip("`") for cell in row[:3]) for row in PAGE.section("Accounts").rows()]
    assert shown == [(seed.handle, seed.app_password, seed.password) for seed in SEEDS]


def test_every_command_has_a_row() -> None:
    """Of `postcore sandbox`."""
    shown = " ".join(row[0] for row in PAGE.section("Commands and HTTP").rows())
    for name in sandbox_commands.commands:
        assert name in shown
