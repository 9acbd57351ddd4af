"""PostgreSQL for tests: a temporary cluster, with a database for each test."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

T = TypeVar("T")
USER = "postcore"
DEADLINE = 60


def binaries() -> Path | None:
    """Return the folder of the newest server programs; None if there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if config := shutil.which("pg_config"):
        done = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        found.append(Path(done.stdout.strip()))
    here = [folder for folder in found if (folder / "initdb").exists()]
    return here[-1] if here else None


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* in a thread and return its result: a test's event loop may run in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Cluster:
    """A server on loopback, in a temporary folder."""

    def __init__(self, programs: Path, *, durable: bool = False) -> None:
        self._programs = programs
        self._as_owner: list[str] = []
        self._folder = Path(tempfile.mkdtemp(prefix="postcore-pg-"))
        self._data = self._folder / "data"
        self._password = secrets.token_hex(16)
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        self.give(self._folder)
        self.give(password_file)
        if os.getuid() == 0:  # the server refuses to run as root
            owner = pwd.getpwnam(_unprivileged())
            # not Popen's own `user`, which forks: unsafe in a process that uses gRPC
            self._as_owner = [
                "setpriv",
                f"--reuid={owner.pw_uid}",
                f"--regid={owner.pw_gid}",
                "--clear-groups",
            ]
        self._run(
            "initdb",
            f"--pgdata={self._data}",
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # a collation that differs from byte order
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=en-US",
            "--no-sync",
        )
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                "unix_socket_directories = ''\nmax_connections = 200\n"
                f"fsync = {'on' if durable else 'off'}\nlog_statement = none\n"
            )

    def set(self, **settings: str) -> None:
        """Set *settings* for later starts of the server."""
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    @staticmethod
    def give(path: Path) -> None:
        """Make the server's user the owner of *path*."""
        if os.getuid() == 0:
            owner = pwd.getpwnam(_unprivileged())
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def new_folder(self) -> Path:
        """Return an empty folder that the server can access."""
        folder = self._folder / secrets.token_hex(6)
        folder.mkdir()
        self.give(folder)
        return folder

    @classmethod
    def started(cls, programs: Path, *, durable: bool = False) -> Self:
        cluster = cls(programs, durable=durable)
        cluster.start()
        return cluster

    def start(self) -> None:
        log = self._folder / "log"
        self._run("pg_ctl", "start", "--wait", f"--pgdata={self._data}", f"--log={log}")

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends connections at once; `immediate` is a crash."""
        self._run("pg_ctl", "stop", "--wait", f"--pgdata={self._data}", f"--mode={mode}")

    @property
    def pid(self) -> int:
        """The first of its processes."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """Kill the server and all its processes with SIGKILL."""
        pid_file = self._data / "postmaster.pid"
        pid = self.pid
        killed = [pid, *(child for child, (parent, _) in _processes().items() if parent == pid)]
        for each in killed:
            os.kill(each, signal.SIGKILL)
        while any(_processes().get(each, (0, "Z"))[1] != "Z" for each in killed):
            time.sleep(0.01)
        # without a process that reaps zombies, the next server would take their leader for alive
        pid_file.unlink()

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder)

    def url(self, name: str = "postgres", password: str = "") -> str:
        password = password or self._password
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    async def execute(self, statement: str, name: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(name))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def new_database(self, template: str = "template1", more: str = "") -> str:
        """Create a database and return its name."""
        name = f"test_{secrets.token_hex(6)}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {more}")
        return name

    async def drop(self, name: str) -> None:
        await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_owner, str(self._programs / program), *arguments]
        # not pipes, which the server would keep open
        errors = self._folder / "errors"
        with errors.open("w") as file:
            done = subprocess.run(
                command,
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                timeout=DEADLINE,
                check=False,
            )
        assert done.returncode == 0, f"{done.returncode} {errors.read_text()}"


def busy(pid: int) -> float:
    """Return the CPU time, in seconds, of a process and its children, ended ones included."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(stat.parent.name) == pid:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == pid:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _unprivileged() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _processes() -> dict[int, tuple[int, str]]:
    """Return the parent and the state of each process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state parent …
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            found[int(stat.parent.name)] = int(parent), state
    return found
