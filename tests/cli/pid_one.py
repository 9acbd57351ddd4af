"""`postcore serve` as PID 1 of a PID namespace, as in a container, and how it ends on a signal.

PID 1 differs from all other processes: the kernel drops a signal for which it has no handler.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.home import DEADLINE, Home

SCRIPT = Path(sys.executable).with_name("postcore")
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")


@dataclass(frozen=True)
class End:
    """The end of one try: *seconds* after the signal, None if it came too late."""

    delay: float
    seconds: float | None
    code: int | None
    out: str
    err: str

    @property
    def is_clean(self) -> bool:
        """Return whether it exited with code 0 and without an error in its log."""
        return self.code == 0 and "Traceback" not in self.err and '"critical"' not in self.err


def has_namespaces() -> bool:
    """Return whether this machine allows PID namespaces."""
    program = shutil.which(UNSHARE[0])
    return program is not None and not subprocess.run([*UNSHARE, "true"], check=False).returncode


def needs_namespaces() -> None:
    """Skip the test if this machine does not allow PID namespaces."""
    if not has_namespaces():
        pytest.skip("PID namespaces cannot be made here (they need root and util-linux)")


def end_as_pid_1(
    home: Home,
    delay: float,
    *,
    number: signal.Signals = signal.SIGTERM,
    blocked: bool = False,
    is_ready: bool = False,
    within: float = DEADLINE,
) -> End:
    """Start `postcore serve` as PID 1 in *home*, send it *number* after *delay* seconds, and wait
    up to *within* seconds for its end.

    *is_ready*: the delay begins once it takes calls.

    *blocked*: start it with the stop signals blocked, as `env --block-signal` does, so that the
    kernel keeps a signal that comes before Python runs. Else the signal waits until the process
    handles it: the time that Python needs for that is the machine's.
    """
    command = [*UNSHARE, str(SCRIPT), "serve"]
    if blocked:
        command = ["env", "--block-signal=TERM,INT,HUP", *command]
    process = subprocess.Popen(
        command,
        cwd=home.folder,
        env=home.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = time.monotonic()
    try:
        pid = _child(process.pid)
        ready = ""
        if is_ready:
            assert process.stdout
            ready = process.stdout.readline()
            started = time.monotonic()
        time.sleep(max(0, started + delay - time.monotonic()))
        while not _is_kept(pid, number):
            assert time.monotonic() < started + DEADLINE, "no handler was installed"
            time.sleep(0.001)
        os.kill(pid, number)
        sent = time.monotonic()
        try:
            out, err = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate(timeout=DEADLINE)
            return End(delay, None, None, out, err)
        return End(delay, time.monotonic() - sent, process.returncode, ready + out, err)
    finally:
        process.kill()  # and its child, by --kill-child
        process.wait(DEADLINE)


def _child(parent: int) -> int:
    """Wait for the only child of *parent*, and return its PID as this namespace sees it."""
    file = Path(f"/proc/{parent}/task/{parent}/children")
    until = time.monotonic() + DEADLINE
    while not (children := file.read_text().split()):
        assert time.monotonic() < until, "unshare has started nothing"
        time.sleep(0.001)
    return int(children[0])


def _is_kept(pid: int, number: signal.Signals) -> bool:
    """Return whether the kernel keeps *number* for the process, which blocks or handles it."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line[:7] in ("SigBlk:", "SigCgt:")]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)
