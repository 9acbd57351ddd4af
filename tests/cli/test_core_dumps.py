"""Core dumps: no process of the service leaves one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.home import DEADLINE, Home

pytestmark = pytest.mark.process

REPORT = """
import ctypes, resource
from service.runtime import core_dumps
core_dumps.turn_off()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_core_dumps_are_turned_off() -> None:
    """The limit is 0, and the flag is set that also stops other users' debuggers."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert done.stdout == "(0, 0) 0\n"


def test_a_server_cannot_dump_core(home: Home) -> None:
    """It turns core dumps off for every limit it may be started with."""
    with home.serve() as server:
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
