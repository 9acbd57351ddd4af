"""Beside a server: the commands that work while it runs, what it sees of them, and a second one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from time import monotonic

import pytest

from tests.cli.calls import connect, health, list_platforms
from tests.cli.home import COMMAND, DEADLINE, Home, Started

pytestmark = pytest.mark.process

REVOKED_WITHIN = 5.0
"""Seconds, by the promise of `api-keys revoke`."""


@pytest.fixture
def server(home: Home, api_key: str) -> Iterator[Started]:
    with home.serve("--sandbox") as server:
        yield server


def test_keys_come_and_go_while_the_server_runs(home: Home, server: Started, api_key: str) -> None:
    """A tenant and a key made beside it work at once; a revoked key, though it was just used,
    stops within five seconds, and the others go on."""
    tenant_id = home.value("tenants", "create", "Jane")
    key = home.value("api-keys", "create", "--tenant", tenant_id)
    assert list_platforms(server.address, key) == "OK"
    assert home.run("api-keys", "revoke", key.split("_")[2]).code == 0
    revoked_at = monotonic()
    while list_platforms(server.address, key) == "OK":
        assert monotonic() < revoked_at + DEADLINE
    assert monotonic() < revoked_at + REVOKED_WITHIN + 1
    assert list_platforms(server.address, key) == "UNAUTHENTICATED"
    assert list_platforms(server.address, api_key) == "OK"
    line = home.value("api-keys", "list", "--tenant", tenant_id)
    assert line.split("\t")[1].startswith("revoked 20")


def test_a_second_server_is_refused(home: Home, server: Started) -> None:
    """On the same database; and on the same port, with another database. The first goes on."""
    assert home.run("serve").sentence == (
        "another server is running on data/postcore.db; to run several, use PostgreSQL"
    )
    other = {"DATABASE_URL": "sqlite:///other.db", "GRPC_ADDRESS": server.address}
    shutil.copy(home.database, home.folder / "other.db")
    assert home.run("serve", "--sandbox", **other).sentence == (
        f"cannot listen on {server.address}; is the port taken? "
        "POSTCORE_GRPC_ADDRESS and POSTCORE_HTTP_ADDRESS name others"
    )
    assert health(server.address) == "SERVING"


@pytest.mark.quick
def test_healthcheck(home: Home, server: Started) -> None:
    """Tells SERVING with exit code 0, whatever proxy the environment names; where nobody answers
    it tells so with exit code 1."""
    home.more = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9")
    well = home.run("healthcheck", GRPC_ADDRESS=server.address)
    assert (well.code, well.out, well.err) == (0, "SERVING\n", "")
    server.process.kill()
    server.end()
    nobody = home.run("healthcheck", GRPC_ADDRESS=server.address)
    assert nobody.sentence == "no answer: UNAVAILABLE"


def test_calls_go_on_when_nobody_reads_the_log(home: Home, api_key: str) -> None:
    """The pipe that standard error goes to may be gone."""
    reader, writer = os.pipe()
    environ, command = home.environ(), [*COMMAND, "serve", "--sandbox"]
    with subprocess.Popen(
        command, cwd=home.folder, env=environ, stdout=subprocess.PIPE, stderr=writer, text=True
    ) as server:
        os.close(writer)
        os.close(reader)
        try:
            assert server.stdout
            address = server.stdout.readline().split()[1].removeprefix("grpc=")
            assert list_platforms(address, api_key) == "OK"
            assert connect(address, api_key) == "user.bsky.social"
        finally:
            server.terminate()
            assert server.wait(DEADLINE) == 0
