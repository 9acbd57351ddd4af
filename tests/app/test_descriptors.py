"""The limit of file descriptors is raised, and a reserve kept for outbound calls and the store."""

import json
import re
import resource
import subprocess
from pathlib import Path

import pytest

from service.app.descriptors import (
    EGRESS_POOLS,
    NAME_LOOKUP_SOCKETS,
    OTHER_FILES,
    SQLITE_FILES,
    connection_limits,
)
from service.platforms.egress.pool import MAX_CONNECTIONS
from service.settings import Settings
from tests.cli.home import COMMAND, Home


def test_settings_hold_where_there_are_enough() -> None:
    """Enough descriptors leave the configured connection limits unchanged."""
    read = Settings.read({})
    granted = connection_limits(read, 100_000)
    assert (granted.grpc, granted.http) == (read.max_grpc_connections, read.max_http_connections)


@pytest.mark.parametrize("limit", [64, 256, 1024, 2000])
def test_a_low_limit_leaves_a_reserve(limit: int) -> None:
    """Connections of both ports, handshakes included, never use up the reserve."""
    granted = connection_limits(Settings.read({}), limit)
    reserve = EGRESS_POOLS * MAX_CONNECTIONS + NAME_LOOKUP_SOCKETS + SQLITE_FILES + OTHER_FILES
    assert granted.grpc + 2 * granted.http <= max(limit // 4, limit - reserve)
    assert min(granted.grpc, granted.http) >= 1


@pytest.mark.process
@pytest.mark.parametrize(("soft", "hard", "warns"), [(256, 20_000, False), (1024, 1024, True)])
def test_serve_raises_its_limit_and_warns_below_the_sum(
    soft: int, hard: int, warns: bool, tmp_path: Path
) -> None:
    """The soft limit becomes the hard one; a warning names the number needed."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this machine's hard limit of descriptors is lower")
    home = Home(tmp_path)
    assert home.run("keyring", "init").code == 0
    log = tmp_path / "log"
    limited = ("prlimit", f"--nofile={soft}:{hard}", *COMMAND)
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*limited, "serve"],
            cwd=tmp_path,
            env=home.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as started,
    ):
        assert started.stdout
        assert started.stdout.readline().startswith("ready ")
        limits = Path(f"/proc/{started.pid}/limits").read_text()
        [now] = re.findall(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
        assert int(now) == hard
        started.terminate()
        assert started.wait(30) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    warnings = [line for line in lines if line["event"].startswith("the limit of descriptors")]
    assert bool(warnings) is warns
    if warns:
        assert warnings[0]["needed"] > warnings[0]["limit"] == hard
