"""Stop signals: handled from the first instruction, as PID 1 too, and never lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from service.crypto.keyring import create_keyring, new_keys
from service.storage.migrations import HEAD
from service.storage.sqlite_file import schema_revision
from tests.cli.calls import health
from tests.cli.home import COMMAND, DEADLINE, Home
from tests.cli.pid_one import SCRIPT, end_as_pid_1, needs_namespaces

pytestmark = pytest.mark.process

TRIES = 6
STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def by_name(number: signal.Signals) -> str:
    return number.name


@pytest.mark.parametrize("blocked", [False, True], ids=["plain", "blocked"])
def test_pid_1_ends_at_any_moment_of_its_start(home: Home, blocked: bool) -> None:
    """The signal comes at random moments of the start: from 0 s on if the parent blocks it."""
    needs_namespaces()
    chance = Random(blocked)
    for _ in range(TRIES):
        end = end_as_pid_1(home, chance.uniform(0 if blocked else 0.05, 1), blocked=blocked)
        assert end.seconds is not None, end
        assert end.is_clean, end


@pytest.mark.parametrize("number", STOPS, ids=by_name)
def test_pid_1_drains_on_each_signal(home: Home, number: signal.Signals) -> None:
    """SIGHUP and SIGINT act as SIGTERM does."""
    needs_namespaces()
    end = end_as_pid_1(home, 0, number=number, is_ready=True)
    assert end.is_clean, end
    assert end.out.startswith("ready ")


@pytest.mark.parametrize("number", STOPS, ids=by_name)
@pytest.mark.parametrize(
    ("arguments", "code"), [(("serve",), 0), (("config", "check"), None)], ids=["serve", "another"]
)
def test_a_signal_before_anything_is_open(
    home: Home, number: signal.Signals, arguments: tuple[str, ...], code: int | None
) -> None:
    """A signal that the parent has blocked is pending at the start; the program ends before it
    prints anything."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(int(number)), str(SCRIPT), *arguments],
        cwd=home.folder,
        env=home.environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == (128 + number if code is None else code)
    assert (done.stdout, done.stderr) == ("", "")


BLOCKED = """
import os, signal, sys
number = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
os.kill(os.getpid(), number)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_start_that_is_stopped_leaves_no_half_state(empty_home: Home) -> None:
    """A signal during the migration also ends its process; the next start succeeds."""
    create_keyring(empty_home.keyring, new_keys("test"))
    with empty_home.started("serve") as server:
        threads = Path(f"/proc/{server.process.pid}/task")
        migration: list[int] = []
        until = time.monotonic() + DEADLINE
        while not migration:
            assert time.monotonic() < until
            migration = [
                int(child)
                for thread in threads.iterdir()
                for child in (thread / "children").read_text().split()
            ]
        assert (server.end(signal.SIGTERM), server.rest(), server.errors) == (0, [], "")
        assert not Path(f"/proc/{migration[0]}").exists()
    with empty_home.serve() as server:
        assert schema_revision(empty_home.database) == HEAD
        assert health(server.address) == "SERVING"
        assert server.end(signal.SIGTERM) == 0


def test_a_stopped_command_exits_with_the_signals_code(empty_home: Home) -> None:
    """Its exit code is 128 plus the signal's number, as in a shell: here during a migration."""
    with empty_home.started("migrate") as command:
        while not empty_home.database.exists():
            time.sleep(0.001)
        assert (command.end(signal.SIGTERM), command.rest()) == (143, [])
        assert "Traceback" not in command.errors


@pytest.mark.parametrize("number", STOPS, ids=by_name)
def test_a_second_signal_has_no_effect_on_the_drain(home: Home, number: signal.Signals) -> None:
    """systemd can be configured to send SIGHUP right after SIGTERM, and `make run` passes Ctrl+C to
    a server twice."""
    with home.serve(DRAIN_PAUSE_SECONDS="0.5") as server:
        server.process.terminate()
        while health(server.address) == "SERVING":
            pass
        server.process.send_signal(number)
        assert health(server.address) == "NOT_SERVING"
        assert server.end(number) == 0
        assert server.errors.count('"critical"') == 0


def test_nohup_is_honoured(home: Home) -> None:
    """A SIGHUP ignored at the start stays ignored; SIGTERM drains."""
    with home.serve(by=["nohup"]) as server:
        server.process.send_signal(signal.SIGHUP)
        for _ in range(3):
            assert health(server.address) == "SERVING"
        assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_standard_streams_may_be_closed(home: Home, closed: tuple[int, ...]) -> None:
    """No other file gets their numbers, and the server starts, serves and ends as usual."""
    redirections = " ".join(f"{number}>&-" for number in closed)
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", *COMMAND, "serve"],
        cwd=home.folder,
        env=home.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + DEADLINE
        # its last step before it takes calls: the database is open, by several connections
        while process.poll() is None and open_files(process.pid).count(str(home.database)) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.3)
        files = Path(f"/proc/{process.pid}/fd")
        assert {os.readlink(files / str(number)) for number in range(3)} == {os.devnull}
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait(DEADLINE)


def open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # one was closed meanwhile
        return []


def test_a_reader_of_standard_output_may_be_gone(home: Home) -> None:
    """The server logs a warning, and continues to serve."""
    reader, writer = os.pipe()
    os.close(reader)
    errors = home.folder / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "serve"],
            cwd=home.folder,
            env=home.environ(),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=file,
        )
    os.close(writer)
    try:
        until = time.monotonic() + DEADLINE
        while "ready line not written" not in errors.read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert process.poll() is None
        process.terminate()
        assert process.wait(DEADLINE) == 0
        assert len(errors.read_text().splitlines()) == 1
    finally:
        process.kill()
        process.wait(DEADLINE)
