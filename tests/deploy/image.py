"""Image: the one that deploy/Containerfile describes, built by buildah and run by crun.

Debian's Python stands in for the base. A container has namespaces of its own, a read-only root, no
capability, and the system calls that engines allow; its process is PID 1 and the image's user.
"""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.cli.home import DEADLINE, Outcome, Started

ROOT = Path(__file__).parents[2]
SHELLS = ("/usr/bin/sh", "/usr/bin/bash", "/usr/bin/dash")
PROFILE = Path("/usr/share/containers/seccomp.json")
"""The system calls that engines allow by default; Debian's buildah depends on it."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
APART = ("unshare", "--mount", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup; exec "$@"', "sh")
"""crun rejects a machine with cgroups of both versions, though it is to leave them alone."""
SYSTEM = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
)


@dataclass(frozen=True)
class Image:
    """A built image: its file system, and what the Containerfile says of it."""

    root: Path
    config: Mapping[str, Any]

    @classmethod
    @contextmanager
    def built(cls, folder: Path) -> "Iterator[Image]":
        """Build the image in *folder*, which tests/deploy/install has printed, and mount it."""
        run([ROOT / "tests/deploy/build", folder], seconds=300)
        store: list[str | Path] = [
            "buildah",
            "--root",
            folder / "storage",
            "--runroot",
            folder / "run",
        ]
        store += ["--storage-driver", "overlay"]
        described = run([*store, "inspect", "--type", "image", "localhost/postcore-profiles"])
        container = run([*store, "from", "localhost/postcore-profiles"])
        try:
            root = Path(run([*store, "mount", container]))
            yield cls(root, json.loads(described)["Docker"]["config"])
        finally:
            run([*store, "rm", container])


@dataclass
class Containers:
    """Runs containers of *image*; *volumes* maps their writable folders to those of the machine."""

    image: Image
    home: Path
    volumes: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Files that it may only read."""
    settings: Mapping[str, str] = field(default_factory=dict)
    _number: int = 0

    def bundle(self, arguments: Sequence[str]) -> Path:
        """Write the OCI runtime's description of one container; return its folder."""
        self._number += 1
        folder = self.home / f"container-{self._number}"
        folder.mkdir()
        config = self.image.config
        user, group = map(int, config["User"].split(":"))
        binds = [
            *((inner, outer, "rw") for inner, outer in self.volumes.items()),
            *((inner, outer, "ro") for inner, outer in self.secrets.items()),
            *((shell, "/dev/null", "ro") for shell in SHELLS),
        ]
        process = {
            "user": {"uid": user, "gid": group},
            "args": [*config["Entrypoint"], *(arguments or config["Cmd"])],
            "env": [*config["Env"], *(f"{name}={value}" for name, value in self.settings.items())],
            "cwd": config["WorkingDir"],
            "noNewPrivileges": True,
        }
        mounts = [
            *SYSTEM,
            *(
                {"destination": inner, "source": str(outer), "options": ["bind", mode]}
                for inner, outer, mode in binds
            ),
        ]
        description = {
            "ociVersion": "1.0.0",
            "process": process,
            "root": {"path": str(self.image.root), "readonly": True},
            "hostname": "postcore",
            "mounts": mounts,
            "linux": {
                "namespaces": [{"type": name} for name in NAMESPACES],
                "seccomp": system_calls(),
            },
        }
        (folder / "config.json").write_text(json.dumps(description))
        return folder

    def command(self, bundle: Path) -> list[str | Path]:
        return [*self._crun, "run", "--bundle", bundle, "--pid-file", bundle / "pid", bundle.name]

    def run(self, *arguments: str) -> str:
        """Run a command in a container, which has to end well; return its standard output."""
        outcome = self.end(*arguments)
        assert outcome.code == 0, outcome
        return outcome.out.strip()

    def end(self, *arguments: str) -> Outcome:
        """Run a command to its end in a container."""
        done = subprocess.run(
            self.command(self.bundle(arguments)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def serve(self, *arguments: str) -> Iterator["Container"]:
        """Start a container; kill it at the end of the block."""
        bundle = self.bundle(arguments)
        started = Started(
            self.command(bundle),
            bundle / "errors",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            ready = started.until("ready ")[-1]
            yield Container(self, bundle, started, ready)
        finally:
            subprocess.run(
                [*self._crun, "delete", "--force", bundle.name], check=False, capture_output=True
            )
            started.clean_up()

    @property
    def _crun(self) -> list[str | Path]:
        return [*APART, "crun", "--root", self.home / "crun", "--cgroup-manager", "disabled"]


@dataclass(frozen=True)
class Container:
    """A container that takes calls."""

    of: Containers
    bundle: Path
    started: Started
    ready: str

    @property
    def pid(self) -> int:
        """The id, on the machine, of its PID 1."""
        return int((self.bundle / "pid").read_text())

    def beside(self, *command: str | Path, **environ: str) -> str:
        """Run a program of the machine in the container's network."""
        return run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *command], environ)

    def probe(self) -> str:
        """Run the image's health check in the container."""
        kind, *command = self.of.image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return run([*self.of._crun, "exec", self.bundle.name, *command])

    def status(self, name: str) -> str:
        """Return a line of the kernel's description of its PID 1."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [value] = [line.partition(":")[2] for line in lines if line.startswith(f"{name}:")]
        return " ".join(value.split())


def system_calls() -> dict[str, Any]:
    """Return PROFILE as an engine resolves it for a container without capabilities."""
    profile = json.loads(PROFILE.read_text())
    here = ARCHITECTURES[platform.machine()]
    kept = [
        rule
        for rule in profile["syscalls"]
        if not rule["includes"].get("caps") and here in rule["includes"].get("arches", [here])
    ]
    names = ("names", "action", "args", "errnoRet")
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "syscalls": [{name: rule[name] for name in names if rule.get(name)} for rule in kept],
    }


def run(
    command: Sequence[str | Path],
    environ: Mapping[str, str] = MappingProxyType({}),
    seconds: float = DEADLINE,
) -> str:
    """Run *command*, which has to end well, and return what it prints on standard output."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.strip()
