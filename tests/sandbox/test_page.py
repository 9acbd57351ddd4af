"""docs/sandbox.md: every command on it is run, and what it shows is what comes back."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
from click.testing import CliRunner

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc as profiles_grpc
from service.cli.demo import DEFAULTS
from service.cli.main import cli
from service.crypto.keyring import create_keyring, new_keys
from service.sandbox.faults import FAULTS
from service.sandbox.remote import Remote
from service.sandbox.seed import SEEDS
from tests.support.running import refusal_of

from .page import PAGE, sections, shows

SECTIONS = sections(PAGE.read_text())
CONTROL = "127.0.0.1:2581"
KEY = "export POSTCORE_API_KEY="
CONTRACT = PAGE.parent.parent / "protos/postcore/profiles/v1/profile_service.proto"


@dataclass
class Shop:
    """A started `serve --sandbox`, and a shell beside it."""

    home: Path
    environ: dict[str, str]
    grpc: str
    control: str

    def run(self, *blocks: str) -> list[str]:
        """What each block prints, in one shell."""
        script = ""
        for number, block in enumerate(blocks):
            here = block.replace(CONTROL, self.control)
            script += f"{{\n{here}\n}} >printed-{number} 2>&1\n"
        subprocess.run(
            ["bash", "-c", script],
            cwd=self.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            timeout=90,
            check=True,
        )
        return [(self.home / f"printed-{number}").read_text() for number in range(len(blocks))]

    def reset(self) -> Remote:
        remote = Remote(self.control)
        remote.ask("POST", "reset")
        return remote


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, grpcurl: Path
) -> Iterator[Shop]:
    """What `make run` leaves running, on free ports, with the page's first block behind it."""
    for program in ("bash", "curl"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir(mode=0o700)
    create_keyring(home / "data/keyring.json", new_keys("test"))
    shutil.copy(empty_database, home / "data/sandbox.db")
    path = [str(Path(sys.executable).parent), str(grpcurl.parent), os.environ["PATH"]]
    environ = {
        **DEFAULTS,
        "HOME": str(home),
        "PATH": ":".join(path),
        "POSTCORE_LOG_FORMAT": "json",
        "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
        "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
        "POSTCORE_SANDBOX_ADDRESS": "127.0.0.1:0",
        "POSTCORE_DRAIN_PAUSE_SECONDS": "0",
    }
    with (home / "errors").open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--sandbox"],
            cwd=home,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with server:
        try:
            assert server.stdout
            ready = server.stdout.readline()
            told = (home / "errors").read_text()
            assert ready.startswith("ready grpc="), told
            [opened] = [json.loads(line) for line in told.splitlines() if "sandbox is open" in line]
            address = ready.split()[1].removeprefix("grpc=")
            environ["POSTCORE_GRPC_ADDRESS"] = address
            environ["POSTCORE_SANDBOX_CONTROL_ADDRESS"] = opened["control"]
            shop = Shop(home, environ, address, opened["control"])
            setup = SECTIONS["Begin"].steps[0].commands
            _, key = shop.run(setup, "echo $POSTCORE_API_KEY")
            environ["POSTCORE_API_KEY"] = key.strip()
            yield shop
        finally:
            server.terminate()
            server.wait(30)


@pytest.mark.parametrize("title", [each.title for each in SECTIONS.values() if each.steps])
def test_the_page_shows_what_comes_back(shop: Shop, title: str) -> None:
    """Each section by itself: the replies, and the reason that its title states."""
    begin, *rest = SECTIONS["Begin"].steps
    # one key is enough: the rest of the block costs nothing
    setup = "".join(line for line in begin.commands.splitlines(True) if not line.startswith(KEY))
    steps = rest if title == "Begin" else SECTIONS[title].steps
    shop.reset()

    _, *printed = shop.run(setup, *(step.commands for step in steps))

    for step, output in zip(steps, printed, strict=True):
        assert step.reply is not None, f"nothing is shown for:\n{step.commands}"
        assert shows(step.reply, output), f"{step.commands}\nprinted:\n{output}"
    if re.fullmatch("[A-Z_]+", title):
        reasons = re.findall(r'"reason": "([A-Z_]+)"', "".join(printed))
        assert set(reasons) == {title}
        assert all(f'"reason": "{title}"' in str(step.reply) for step in steps)


def test_every_reason_has_its_section() -> None:
    """All that the contract lists for ConnectProfile, in a section of that name; but for INTERNAL
    it shows how."""
    [comment] = re.findall(
        r"// Fails with ((?:(?!// Fails)[\s\S])*?)\n  rpc ConnectProfile", CONTRACT.read_text()
    )
    reasons = set(re.findall(r"[A-Z]+_[A-Z_]+|INTERNAL", comment))

    assert len(reasons) == 17
    assert reasons <= SECTIONS.keys()
    assert {reason for reason in reasons if not SECTIONS[reason].steps} == {"INTERNAL"}


def test_every_cause_has_its_reply() -> None:
    """Of INVALID_CREDENTIALS."""
    shown = "".join(step.reply or "" for step in SECTIONS["INVALID_CREDENTIALS"].steps)
    reasons = (CONTRACT.parent / "error_reason.proto").read_text()
    causes = re.findall(r"  INVALID_CREDENTIALS_CAUSE_(\w+) = [1-9]", reasons)

    assert len(causes) == 5
    assert set(re.findall(r'"cause": "(\w+)"', shown)) == set(causes)


FAULT_ROWS = {row[0].strip("`"): row[2] for row in SECTIONS["Faults"].rows()}


@pytest.mark.parametrize("command", FAULT_ROWS)
async def test_every_fault_does_to_connect_what_its_row_says(shop: Shop, command: str) -> None:
    """With an account of its own, and no deadline but the service's."""
    remote = shop.reset()
    # whose logins are paused in the end is nobody that another row would need
    handle = f"row{list(FAULT_ROWS).index(command)}.test"
    [app_password] = remote.ask("POST", "accounts", handle=handle)["appPasswords"]
    env = {"POSTCORE_SANDBOX_CONTROL_ADDRESS": shop.control}
    broken = CliRunner().invoke(cli, ["sandbox", *command.split()], env=env)
    assert broken.exit_code == 0, broken.stderr

    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(shop.grpc, options) as channel:
        connect = profiles_grpc.ProfileServiceStub(channel).ConnectProfile
        request = pb.ConnectProfileRequest(
            platform="bluesky",
            credentials=pb.Credentials(handle=handle, app_password=app_password["password"]),
        )
        metadata = (("x-api-key", shop.environ["POSTCORE_API_KEY"]),)
        try:
            reply = await connect(request, metadata=metadata)
            said = "connects" if reply.username == handle else reply.username
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            cause = refusal.metadata.get("cause")
            said = f"{refusal.reason}, cause {cause}" if cause else refusal.reason

    assert said == FAULT_ROWS[command]


def test_every_fault_has_a_row() -> None:
    """What is set where nothing is said stands in it."""
    assert {command.split()[1] for command in FAULT_ROWS} == set(FAULTS)


def test_every_account_has_a_row() -> None:
    """With both its passwords."""
    shown = [tuple(cell.strip("`") for cell in row[:3]) for row in SECTIONS["Accounts"].rows()]
    assert shown == [(seed.handle, seed.app_password, seed.password) for seed in SEEDS]


@pytest.mark.parametrize(
    ("reply", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ('"…s"\n', '"30s"\n', True),
        ('"…s"\n', '"30m"\n', False),
        ("…\n", "", True),
        ("a.\n", "ab\n", False),
    ],
)
def test_a_reply_is_compared_line_by_line(reply: str, printed: str, *, same: bool) -> None:
    """Only … stands for something else."""
    assert shows(reply, printed) is same
