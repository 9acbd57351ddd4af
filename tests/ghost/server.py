"""Runs a real Ghost site for tests, and does there what its owner does."""

import asyncio
import getpass
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import httpx

# All that the programs see of the environment: no setting reaches them by accident.
INHERITED = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
OWNER = {"username": "owner@example.com", "password": "a-long-Pass-phrase-26"}
TITLE = "Real Ghost"
DATABASE_SWITCHES = ("--no-defaults", "--innodb-log-file-size=8M")


class RealGhostError(Exception):
    """The site did not start, or refused what a test asked of it."""


@dataclass(frozen=True, slots=True)
class Integration:
    """A custom integration, and its Admin API key as people copy it."""

    integration_id: str
    key_id: str
    api_key: str = field(repr=False)


class RealGhost:
    """One running site with its database. `folder` is what `tests/ghost/install` prints.

        async with await RealGhost.start(folder) as ghost:
            integration = await ghost.create_integration("postcore")

    It is tied to no event loop: tests that each have their own can share one site.
    """

    def __init__(self, origin: str, path: str, resources: ExitStack) -> None:
        self.origin = origin
        self.home = f"{origin}{path}"
        self._cookie = ""
        self._resources = resources

    @classmethod
    async def start(cls, folder: Path, *, path: str = "", deadline: float = 120) -> Self:
        """Start a new site, in a folder of the address if *path* is one, and set it up."""
        return await asyncio.to_thread(cls._start, folder, path, time.monotonic() + deadline)

    @classmethod
    def _start(cls, folder: Path, path: str, deadline: float) -> Self:
        with ExitStack() as resources:
            # a socket's path has at most 107 bytes
            work = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="gh-")))
            output = resources.enter_context((work / "log").open("w+b"))
            database = work / "db"
            _start_database(work, database, output, resources, deadline)
            port = _free_port()
            origin = f"http://127.0.0.1:{port}"
            shutil.copytree(folder / "ghost" / "content", work / "content", symlinks=True)
            settings = _settings(f"{origin}{path}/", port, database, work / "content")
            (work / "config.production.json").write_text(json.dumps(settings))
            # it takes the folder with its package.json for its own
            (work / "package.json").symlink_to(folder / "ghost" / "package.json")
            program = [str(folder / "node"), str(folder / "ghost" / "index.js")]
            process = _spawn(program, work, output, resources, {"NODE_ENV": "production"})
            started = cls(origin, path, resources)
            started._await_ready(process, output, deadline)
            started._set_up()
            started._resources = resources.pop_all()
            return started

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop it and its database, and remove what they stored. The second time does nothing."""
        await asyncio.to_thread(self._resources.close)

    async def create_integration(self, name: str) -> Integration:
        answer = await self._ask(
            "POST", "integrations/?include=api_keys", {"integrations": [{"name": name}]}
        )
        [made] = answer["integrations"]
        return _integration(made)

    async def regenerate(self, integration: Integration) -> Integration:
        """Regenerate its key, and return it with the new one."""
        path = f"integrations/{integration.integration_id}"
        body = {"integrations": [{"id": integration.integration_id}]}
        await self._ask("POST", f"{path}/api_key/{integration.key_id}/refresh/", body)
        answer = await self._ask("GET", f"{path}/?include=api_keys")
        [made] = answer["integrations"]
        return _integration(made)

    async def delete_integration(self, integration: Integration) -> None:
        await self._ask("DELETE", f"integrations/{integration.integration_id}/")

    async def posts(self) -> list[str]:
        """Return the titles of all posts."""
        answer = await self._ask("GET", "posts/?limit=all&fields=title")
        return [each["title"] for each in answer["posts"]]

    async def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return await asyncio.to_thread(self._ask_now, method, path, body)

    def _ask_now(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = self._call(method, path, body)
        if not answer.is_success:
            raise RealGhostError(f"{method} {path}: {answer.status_code} {answer.text}")
        content: dict[str, Any] = answer.json() if answer.content.startswith(b"{") else {}
        return content

    def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"origin": self.origin}
        if self._cookie:
            headers["cookie"] = self._cookie
        url = f"{self.home}/ghost/api/admin/{path}"
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, url, headers=headers, json=body)

    def _await_ready(
        self, process: "subprocess.Popen[bytes]", output: IO[bytes], deadline: float
    ) -> None:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self._call("GET", "site/").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise RealGhostError(f"it did not start: {_last_words(output)}")

    def _set_up(self) -> None:
        owner = {
            "name": "Owner",
            "email": OWNER["username"],
            "password": OWNER["password"],
            "blogTitle": TITLE,
        }
        self._ask_now("POST", "authentication/setup/", {"setup": [owner]})
        answer = self._call("POST", "session/", OWNER)
        if answer.status_code != 201:
            raise RealGhostError(f"no session: {answer.status_code} {answer.text}")
        self._cookie = answer.headers["set-cookie"].partition(";")[0]


def _integration(made: Mapping[str, Any]) -> Integration:
    [key] = [each for each in made["api_keys"] if each["type"] == "admin"]
    return Integration(made["id"], key["id"], key["secret"])


def _settings(url: str, port: int, database: Path, content: Path) -> dict[str, object]:
    return {
        "url": url,
        "server": {"host": "127.0.0.1", "port": port},
        "database": {
            "client": "mysql",
            "connection": {"socketPath": str(database), "user": "root", "database": "ghost"},
        },
        "paths": {"contentPath": f"{content}/"},
        "mail": {"transport": "Direct"},
        "logging": {"level": "error", "transports": ["stdout"]},
        "security": {"staffDeviceVerification": False},
        "privacy": {
            "useUpdateCheck": False,
            "useGravatar": False,
            "useRpcPing": False,
            "useStructuredData": False,
        },
    }


def _start_database(
    work: Path, database: Path, output: IO[bytes], resources: ExitStack, deadline: float
) -> None:
    data, user = work / "data", f"--user={getpass.getuser()}"
    # not /tmp: a server that starts removes the temporary tables that others have there
    own = [f"--datadir={data}", user, f"--tmpdir={work}"]
    make = ["mariadb-install-db", DATABASE_SWITCHES[0], *own]
    make += ["--auth-root-authentication-method=normal", "--skip-test-db", DATABASE_SWITCHES[1]]
    _run(make, work, output)
    serve = ["mariadbd", *DATABASE_SWITCHES, *own, "--skip-networking"]
    serve += [f"--socket={database}", f"--pid-file={work / 'pid'}"]
    _spawn(serve, work, output, resources)
    ask = ["mariadb", "--no-defaults", f"--socket={database}", "--user=root", "-e"]
    while True:
        try:
            _run([*ask, "CREATE DATABASE IF NOT EXISTS ghost"], work, output)
        except RealGhostError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "PATH": f"{kept.get('PATH', '')}:/usr/sbin", **more}


def _run(command: Sequence[str], work: Path, output: IO[bytes]) -> None:
    """Run *command*; raise RealGhostError with its last words if it fails."""
    done = subprocess.run(
        command, cwd=work, env=_environment({}), stdout=output, stderr=output, check=False
    )
    if done.returncode:
        raise RealGhostError(f"{command[0]} ended with {done.returncode}: {_last_words(output)}")


def _last_words(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read()[-3000:].decode(errors="replace")


def _spawn(
    command: Sequence[str],
    work: Path,
    output: IO[bytes],
    resources: ExitStack,
    more: Mapping[str, str] = {},
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        command,
        cwd=work,
        env=_environment(more),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    resources.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
