"""Core dumps: no process of the service leaves one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.home import DEADLINE, Home

pytestmark = pytest.mark.process

TELL = """
import ctypes, resource
from service.runtime import core_dumps
core_dumps.turn_off()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_the_system_is_told_to_write_none() -> None:
    """By the limit, and by the flag that also keeps other users' debuggers out."""
    done = subprocess.run(
        [sys.executable, "-c", TELL], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert done.stdout == "(0, 0) 0\n"


def test_a_server_cannot_dump_core(home: Home) -> None:
    """Whatever limit it was started with."""
    with home.serve() as server:
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
