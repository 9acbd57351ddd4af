"""Booted: systemd as PID 1 of namespaces of its own, in a copy of the image's file system."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.cli.home import DEADLINE
from tests.deploy.image import ROOT, run

BOOT = ROOT / "tests/deploy/boot"
SUDO = """
set -e
cd /checkout
sudo() {
  if [ "$1" != -u ]; then "$@"; return; fi
  user=$2; shift 2
  setpriv --reuid "$user" --regid "$user" --init-groups env "$@"
}
"""
"""Root needs no sudo; this has the options that docs/deployment.md uses."""


@dataclass(frozen=True)
class Booted:
    """A running systemd; *pid* is its id on the machine."""

    pid: int

    def sh(self, script: str) -> str:
        """Run *script* as root in it, which has to end well; return its standard output."""
        return run([*self.enter("--all"), "bash", "-c", SUDO + script])

    def beside(
        self, *command: str | Path, environ: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Run a program of the machine in its network."""
        return run([*self.enter("--net"), *command], environ)

    def enter(self, what: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid), what]

    def unit(self, name: str) -> str:
        """Return a property of the unit."""
        return self.sh(f"systemctl show --property {name} --value postcore")

    def status(self, name: str) -> str:
        """Return a line of the kernel's description of the unit's process."""
        lines = self.sh(f"cat /proc/{self.unit('MainPID')}/status").splitlines()
        [value] = [line.partition(":")[2] for line in lines if line.startswith(f"{name}:")]
        return " ".join(value.split())


@contextmanager
def booted(root: Path, folder: Path) -> Iterator[Booted]:
    """Boot systemd in *root*, with the checkout's deploy/ in /checkout; *folder* is empty."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [BOOT, root, folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + DEADLINE
        while (pid := _systemd(process.pid)) is None:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.05)
        system = Booted(pid)
        checkout = Path(f"/proc/{pid}/root/checkout")
        checkout.mkdir()
        run(["cp", "--recursive", ROOT / "deploy", checkout])
        yield system
    finally:
        if (pid := _systemd(process.pid)) is not None:
            subprocess.run(["kill", "-KILL", str(pid)], check=False)  # and so all of its namespace
        process.wait(DEADLINE)


def _systemd(parent: int) -> int | None:
    """Return the id of the systemd that is the child of *parent*'s child, once it has booted."""
    pids = [parent]
    for _ in range(2):
        pids = [
            int(child)
            for pid in pids
            for tasks in [Path(f"/proc/{pid}/task/{pid}/children")]
            if tasks.exists()
            for child in tasks.read_text().split()
        ]
    for pid in pids:
        if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
            state = subprocess.run(
                ["nsenter", "--target", str(pid), "--all", "systemctl", "is-system-running"],
                capture_output=True,
                text=True,
                check=False,
            )
            if state.stdout.strip() in ("running", "degraded"):
                return pid
    return None
