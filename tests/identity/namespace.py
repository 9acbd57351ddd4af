"""Namespace: how a test gets a network, and an /etc, of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
AS_ROOT = ("unshare", "--net", "--mount")
AS_USER = ("unshare", "--user", "--map-root-user", "--net", "--mount")
KINDS = {"root": AS_ROOT, "user": AS_USER} if os.geteuid() == 0 else {"user": AS_USER}
"""The ways to make a network that the caller of this process could have."""


def fault(command: tuple[str, ...]) -> str:
    """Why *command* cannot make a network on this machine; empty where it can."""
    for program in ("unshare", "mount", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed (on Debian: util-linux and iproute2)"
    tried = subprocess.run(
        [*command, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() or f"ended with {tried.returncode}" if tried.returncode else ""


def network() -> tuple[str, ...]:
    """The command that runs another in a network of its own; skips the test where there is none."""
    faults = []
    for command in KINDS.values():
        wrong = fault(command)
        if not wrong:
            return command
        faults.append(f"{' '.join(command)}: {wrong}")
    pytest.skip(f"no network namespace can be made here: {'; '.join(faults)}")


def command_inside(unshare: tuple[str, ...], module: str, folder: Path, *more: str) -> list[str]:
    """The command that runs `tests.identity.`*module* in a new network; *folder* is empty."""
    return [*unshare, sys.executable, "-m", f"tests.identity.{module}", str(folder), *more]
