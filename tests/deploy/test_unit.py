"""deploy/systemd/postcore.service, started by systemd, by the commands of docs/deployment.md."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app.sandbox import SANDBOX_TENANT
from service.cli.demo import METHOD, REQUEST
from tests.cli.home import DEADLINE
from tests.deploy.booted import Booted, booted
from tests.deploy.image import Image
from tests.docs.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ADDRESS = "127.0.0.1:50051"
SANDBOX = """
mkdir --parents /etc/systemd/system/postcore.service.d
cat >/etc/systemd/system/postcore.service.d/sandbox.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/env --block-signal=TERM,INT,HUP /opt/postcore/bin/postcore serve --sandbox
END
echo POSTCORE_DATABASE_URL=sqlite:///data/sandbox.db >/etc/postcore/postcore.env
systemctl daemon-reload
systemctl restart postcore
"""
CREATE_KEY = f"""
cd /var/lib/postcore
sudo -u postcore POSTCORE_KEYRING_FILE=/etc/postcore/keyring.json \
  POSTCORE_DATABASE_URL=sqlite:///data/sandbox.db \
  /opt/postcore/bin/postcore api-keys create --tenant {SANDBOX_TENANT}
"""


@pytest.fixture
def system(image: Image, tmp_path: Path) -> Iterator[Booted]:
    with booted(image.root, tmp_path) as system:
        yield system


def wait_until_it_serves(system: Booted) -> None:
    """The journal has the line of the process that now runs."""
    until = time.monotonic() + DEADLINE
    process = f"_PID={system.unit('MainPID')}"
    show = f"journalctl --quiet --output cat --unit postcore {process}"
    while f"ready grpc={ADDRESS}" not in (journal := system.sh(show)):
        assert time.monotonic() < until, journal
        time.sleep(0.1)


def test_the_unit_as_the_page_installs_it(system: Booted, grpcurl: Path) -> None:
    """It serves with all that it may not do, comes back after a kill, and stops well."""
    section = Page.read("docs/deployment.md").section("systemd")
    [install] = [block for block in section.blocks() if block.mark.endswith("test_unit.py")]
    assert "active (running)" in system.sh(install.code)
    wait_until_it_serves(system)
    assert system.status("CapBnd") == "0" * 16
    assert system.status("NoNewPrivs") == "1"
    assert system.status("Seccomp") == "2"
    inside = f"nsenter --target {system.unit('MainPID')} --mount"
    for path in ("/etc/postcore", "/opt/postcore", "/usr"):
        assert system.sh(f"{inside} touch {path}/x 2>&1 || :").endswith("Read-only file system")

    system.sh(SANDBOX)
    wait_until_it_serves(system)
    key = system.sh(CREATE_KEY)
    called = ["-plaintext", "-expand-headers", "-H", "x-api-key: ${KEY}", "-d"]
    call: list[str | Path] = [grpcurl, *called, json.dumps(REQUEST), ADDRESS, METHOD]
    reply = system.beside(*call, environ={"KEY": key})
    assert json.loads(reply)["username"] == "user.bsky.social"

    former = system.unit("MainPID")
    system.sh(f"kill -KILL {former}")
    until = time.monotonic() + DEADLINE
    while system.unit("MainPID") in (former, "0"):
        assert time.monotonic() < until
        time.sleep(0.1)
    wait_until_it_serves(system)
    assert system.unit("NRestarts") == "1"
    system.sh("systemctl stop postcore")
    assert system.unit("Result") == "success"
    assert system.unit("ExecMainStatus") == "0"
