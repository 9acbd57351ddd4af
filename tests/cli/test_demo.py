"""The demonstration that `make run` starts: first run, second run, other ports, and its end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.cli.demo import METHOD, REQUEST
from tests.cli.calls import list_platforms
from tests.cli.home import DEADLINE, Home, Started
from tests.identity.namespace import network
from tests.support.authority import Authority

pytestmark = pytest.mark.process

REPLY = {"profileKey": "prof_abc123", "platform": "bluesky", "username": "user.bsky.social"}
NO_IPV6 = 77
IPV6_ALONE = f"""
ip link set lo up
ip address delete 127.0.0.1/8 dev lo
ip address show dev lo | grep -q ::1 || exit {NO_IPV6}
exec "$@"
"""


@dataclass
class Demo:
    """A running demonstration, and its output."""

    started: Started
    address: str
    text: str

    @property
    def api_key(self) -> str:
        [key] = re.findall(r"^export POSTCORE_API_KEY=(pc_live_\w+)$", self.text, re.MULTILINE)
        return str(key)

    def paste(self, program: Path) -> str:
        """Paste the key and the call for *program* into a shell, and return the output."""
        [call] = re.findall(rf"^{program.name} .*?^END$", self.text, re.MULTILINE | re.DOTALL)
        done = subprocess.run(
            ["bash", "-e"],
            input=f"export POSTCORE_API_KEY={self.api_key}\n\n{call}\n",
            env={"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self, number: signal.Signals, *, to_all: bool) -> None:
        """Send a signal to the process alone or, as a terminal does, to its group; return the exit
        code."""
        group = self.started.process.pid
        (os.killpg if to_all else os.kill)(group, number)
        assert self.started.end() == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)
        assert "Traceback" not in self.started.errors
        assert "uncaught" not in self.started.errors


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def demo(home: Home) -> Iterator[Demo]:
    """A demonstration on free ports, after it has printed everything."""
    address = free_address()
    with home.started("demo", GRPC_ADDRESS=address) as started:
        lines = started.until("ready ")
        assert re.fullmatch(
            rf"ready grpc={address}( (http|admin)=127\.0\.0\.1:\d+){{2}}", lines[-1]
        )
        yield Demo(started, address, "\n".join(lines))


@pytest.mark.quick
def test_it_runs_from_nothing_and_again(empty_home: Home, buf: Path) -> None:
    """It prints a call, the reply and a valid key. A second run in the same folder has a new key,
    revokes the former one, and logs no warning. Ctrl+C and SIGTERM end it with exit code 0 and
    leave no process."""
    with demo(empty_home) as first:
        name, request, reply = re.findall(
            r"^(\S+)\n(\{.*?^\})\n\n→ (\{.*?^\})$", first.text, re.MULTILINE | re.DOTALL
        )[0]
        assert (name, json.loads(request), json.loads(reply)) == (METHOD, REQUEST, REPLY)
        assert list_platforms(first.address, first.api_key) == "OK"
        first.end(signal.SIGINT, to_all=True)
    assert list_platforms(first.address, first.api_key) == "UNAVAILABLE"
    with demo(empty_home) as second:
        assert list_platforms(second.address, second.api_key) == "OK"
        assert list_platforms(second.address, first.api_key) == "UNAUTHENTICATED"
        assert json.loads(second.paste(buf)) == REPLY
        second.end(signal.SIGTERM, to_all=False)
        # the first run's sandbox has ended, with its ports and sessions
        assert not re.search(r"\[(warning|error|critical) *\]", second.started.errors)
    data = {path.name for path in (empty_home.folder / "data").iterdir()}
    assert {"keyring.json", "sandbox.db"} <= data
    assert "postcore.db" not in data


def test_the_call_for_grpcurl_works_as_it_is_printed(
    empty_home: Home, empty_database: Path, grpcurl: Path
) -> None:
    """It works pasted into a shell, with the key only in the environment. The database is the
    sandbox's own, even if the environment names an empty one."""
    empty_home.database.parent.mkdir()
    shutil.copy(empty_database, empty_home.folder / "data/sandbox.db")
    # a proxy in the environment is ignored for calls to this machine
    empty_home.more = {"http_proxy": "http://127.0.0.1:9", "POSTCORE_DATABASE_URL": ""}
    with demo(empty_home) as shown:
        assert json.loads(shown.paste(grpcurl)) == REPLY
    assert not empty_home.database.exists()


def test_the_call_for_curl_works_as_it_is_printed(empty_home: Home, empty_database: Path) -> None:
    """It works over HTTP, pasted into a shell, with the key on no command line."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    empty_home.database.parent.mkdir()
    shutil.copy(empty_database, empty_home.folder / "data/sandbox.db")
    empty_home.more = {"http_proxy": "http://127.0.0.1:9"}
    with demo(empty_home) as shown:
        assert json.loads(shown.paste(Path(curl))) == REPLY
        assert not re.search(r"^curl .*pc_live_", shown.text, re.MULTILINE)


def test_it_is_in_plain_text(empty_home: Home, empty_database: Path, tmp_path: Path) -> None:
    """It serves without TLS even if the environment is that of a service with TLS."""
    empty_home.database.parent.mkdir()
    shutil.copy(empty_database, empty_home.folder / "data/sandbox.db")
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    empty_home.more = {
        "POSTCORE_TLS_CERT_FILE": str(cert),
        "POSTCORE_TLS_KEY_FILE": str(key),
        "POSTCORE_TLS_CLIENT_CA_FILE": str(authority.file),
    }
    with demo(empty_home) as shown:
        assert list_platforms(shown.address, shown.api_key) == "OK"


@pytest.mark.parametrize(
    "setting",
    [
        "GRPC_ADDRESS",
        "HTTP_ADDRESS",
        "ADMIN_ADDRESS",
        "SANDBOX_ADDRESS",
        "SANDBOX_CONTROL_ADDRESS",
    ],
)
def test_a_taken_port_is_reported_as_a_sentence(
    empty_home: Home, empty_database: Path, setting: str
) -> None:
    """The sentence names the variable for another port, and no process is left."""
    empty_home.database.parent.mkdir()
    shutil.copy(empty_database, empty_home.folder / "data/sandbox.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        outcome = empty_home.run("demo", **{setting: address})
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1].startswith("Error: ")
    assert address in outcome.err.splitlines()[-1]
    assert f"POSTCORE_{setting}" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


def test_it_runs_with_ipv6_only(empty_home: Home, empty_database: Path) -> None:
    """It uses the default ports on the IPv6 loopback address, which the printed calls name."""
    in_a_network = network()
    empty_home.database.parent.mkdir()
    shutil.copy(empty_database, empty_home.folder / "data/sandbox.db")
    names = ["GRPC_ADDRESS", "HTTP_ADDRESS", "ADMIN_ADDRESS", "SANDBOX_ADDRESS"]
    usual = dict.fromkeys(names, "")
    by = [*in_a_network, "sh", "-c", IPV6_ALONE, "sh"]
    with empty_home.started("demo", by=by, **usual) as started:
        try:
            lines = started.until("ready ")
        except AssertionError:
            if started.process.poll() == NO_IPV6:
                pytest.skip("this machine has no IPv6")
            raise
        assert lines[-1].startswith("ready grpc=[::1]:50051 http=[::1]:8080 admin=[::1]:")
        assert '  "username": "user.bsky.social"' in lines
        Demo(started, "", "\n".join(lines)).end(signal.SIGINT, to_all=True)


def test_it_can_be_stopped_before_the_call(empty_home: Home, empty_database: Path) -> None:
    """After Ctrl+C as soon as the server takes calls, it ends without an error."""
    empty_home.database.parent.mkdir()
    shutil.copy(empty_database, empty_home.folder / "data/sandbox.db")
    address = free_address()
    host, _, port = address.partition(":")
    with empty_home.started("demo", GRPC_ADDRESS=address) as started:
        while True:
            assert started.process.poll() is None
            with socket.socket() as client:
                if client.connect_ex((host, int(port))) == 0:
                    break
        Demo(started, address, "").end(signal.SIGINT, to_all=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"LOG_LEVEL": "loud"}, "POSTCORE_LOG_LEVEL: Input should be"),
        ({"KEYRING_FILE": "file/keyring.json"}, "cannot make the folder file"),
        ({"GRPC_ADDRESS": "0.0.0.0:0", "ALLOW_PLAINTEXT": "true"}, "is not loopback"),
    ],
)
def test_errors_are_reported_as_a_sentence(
    empty_home: Home, settings: dict[str, str], message: str
) -> None:
    """The sentence appears once, with exit code 1, whether the demonstration or its server finds
    the error."""
    (empty_home.folder / "file").touch()
    outcome = empty_home.run("demo", **settings)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count(message) == 1
    assert "Traceback" not in outcome.err
