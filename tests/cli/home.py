"""Home: a folder to run `postcore` in, with its environment."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from service.settings import Settings

COMMAND = (sys.executable, "-m", "service")
DEADLINE = 30.0
"""The maximum seconds of any step: far more than it takes, for busy machines."""


@dataclass(frozen=True)
class Outcome:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The error message, which is one sentence after any log lines."""
        assert self.code == 1, self
        assert self.out == "", self
        *log, line = self.err.splitlines()
        assert all(json.loads(each)["event"] for each in log), self
        assert line.startswith("Error: "), self
        return line.removeprefix("Error: ")


class Started:
    """A process started by a test; its lines on standard output are read one by one."""

    address: str
    """Where it takes calls, if it is a server."""
    http: str
    """The same over HTTP."""
    admin: str
    """Where it answers probes and scrapes."""

    def __init__(self, command: Sequence[str | Path], errors: Path, **options: Any) -> None:
        self._errors = errors
        with errors.open("w") as file:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=file, text=True, **options
            )
        self._lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self) -> str:
        """Return the next line on standard output."""
        try:
            line = self._lines.get(timeout=DEADLINE)
        except Empty:
            raise AssertionError(f"no line came; errors: {self.errors}") from None
        assert line is not None, f"no line came before its end; errors: {self.errors}"
        return line

    def until(self, start: str) -> list[str]:
        """Return the next lines, up to one with the prefix *start*."""
        lines = [self.line()]
        while not lines[-1].startswith(start):
            lines.append(self.line())
        return lines

    def end(self, *signals: signal.Signals) -> int:
        """Send *signals*, wait for the end, and return the exit code."""
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def rest(self) -> list[str]:
        """Wait for the end, and return the lines that were not read."""
        self.process.wait(DEADLINE)
        return list(iter(lambda: self._lines.get(timeout=DEADLINE), None))

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def clean_up(self) -> None:
        """Kill the process and all processes it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # a group of its own
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)


class Home:
    """A folder to run `postcore` in. Settings are given by name, without POSTCORE_."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "data/postcore.db"
        self.keyring = folder / "data/keyring.json"
        self.more: Mapping[str, str] = {}
        """Other variables of the environment."""
        self._started = 0

    def environ(self, **settings: str) -> dict[str, str]:
        """Return this process's environment without the service's variables, plus *settings*."""
        settings = {
            "GRPC_ADDRESS": "127.0.0.1:0",
            "HTTP_ADDRESS": "127.0.0.1:0",
            "ADMIN_ADDRESS": "127.0.0.1:0",
            "SANDBOX_ADDRESS": "127.0.0.1:0",
            "DRAIN_PAUSE_SECONDS": "0",
            **settings,
        }
        kept = {name: value for name, value in os.environ.items() if "POSTCORE_" not in name}
        kept.pop("PYTHONUNBUFFERED", None)  # unbuffered output would hide a missing flush
        ours = {f"POSTCORE_{name}": value for name, value in settings.items()}
        return {**kept, **ours, **self.more}

    def settings(self, **settings: str) -> Settings:
        """Return the settings that a command reads."""
        paths = {"DATABASE_URL": f"sqlite:///{self.database}", "KEYRING_FILE": str(self.keyring)}
        return Settings.read(self.environ(**paths, **settings))

    def run(self, *arguments: str, **settings: str) -> Outcome:
        """Run a command without input, and return its outcome."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environ(**settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def value(self, *arguments: str, **settings: str) -> str:
        """Run a command that prints one value, and return that."""
        outcome = self.run(*arguments, **settings)
        assert outcome.code == 0, outcome
        [value] = outcome.out.splitlines()
        return value

    @contextmanager
    def started(
        self, *arguments: str, by: Sequence[str] = (), **settings: str
    ) -> Iterator[Started]:
        """Start a command through *by*; kill it at the end of the block."""
        self._started += 1
        started = Started(
            [*by, *COMMAND, *arguments],
            self.folder / f"errors-{self._started}",
            cwd=self.folder,
            env=self.environ(**settings),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            started.clean_up()

    @contextmanager
    def serve(self, *arguments: str, by: Sequence[str] = (), **settings: str) -> Iterator[Started]:
        """Start a server through *by*; its `address` takes calls."""
        with self.started("serve", *arguments, by=by, **settings) as server:
            ready = server.line()
            [addresses] = re.findall(r"^ready grpc=(\S+) http=(\S+) admin=(\S+)$", ready)
            server.address, server.http, server.admin = addresses
            yield server
