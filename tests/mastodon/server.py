"""Runs a real snac for tests, and does there what its users do."""

import json
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx

TIMEOUT_SECONDS = 20.0


class RealSnacError(Exception):
    """It did not start, or refused what a test asked of it."""


class RealSnac:
    """One running server. *installed* is what `tests/mastodon/install` prints.

        with RealSnac.started(folder) as snac:
            password = snac.create("alice")
            token = snac.token("alice", password)

    It is tied to no event loop: tests that each have their own can share one server.
    """

    def __init__(self, program: Path, folder: Path, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.origin = f"http://{self.host}"
        self._program, self._folder = program, folder

    @classmethod
    @contextmanager
    def started(cls, installed: Path) -> Iterator[Self]:
        with tempfile.TemporaryDirectory(prefix="snac-") as temporary:
            folder = Path(temporary) / "data"
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            snac = cls(installed / "usr/bin/snac", folder, port)
            snac._command("init", typed=f"127.0.0.1\n{port}\n{snac.host}\n\n\n")
            settings = json.loads((folder / "server.json").read_text())
            (folder / "server.json").write_text(json.dumps({**settings, "protocol": "http"}))
            with (Path(temporary) / "log").open("wb") as output:
                process = subprocess.Popen(
                    [snac._program, "httpd", folder],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={},
                    start_new_session=True,
                )
            try:
                snac._wait(process)
                yield snac
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def create(self, name: str) -> str:
        """Create a user; return the password."""
        printed = self._command("adduser", name, typed="\n\n\n\n")
        match = re.search(r"User password is (\S+)", printed)
        if match is None:
            raise RealSnacError(printed)
        return match[1]

    def token(self, name: str, password: str) -> str:
        """Create an access token, as the page for it does."""
        with httpx.Client(trust_env=False) as client:
            answer = client.post(
                f"{self.origin}/oauth/x-snac-get-token", data={"login": name, "passwd": password}
            )
        token = answer.text.strip()
        if not self._token_file(token).exists():
            raise RealSnacError(answer.text)
        return token

    def revoke(self, token: str) -> None:
        self._token_file(token).unlink()

    def delete(self, name: str) -> None:
        """Delete a user, as the command does; the tokens stay."""
        self._command("deluser", name)

    def _token_file(self, token: str) -> Path:
        return self._folder / "token" / f"{token}.json"

    def _command(self, name: str, *given: str, typed: str = "") -> str:
        done = subprocess.run(
            [self._program, name, self._folder, *given],
            input=typed,
            capture_output=True,
            text=True,
            env={},
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RealSnacError(f"snac {name}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with httpx.Client(trust_env=False) as client:
            while True:
                try:
                    if client.get(f"{self.origin}/api/v1/instance").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RealSnacError("it was not ready in time")
                time.sleep(0.05)
