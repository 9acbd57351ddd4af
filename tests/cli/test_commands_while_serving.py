"""Commands beside a running server, and a second server."""

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
    """A tenant and a key made beside the server work at once. A revoked key stops within five
    seconds, even if it was just used; other keys still work."""
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


def test_a_second_server_is_rejected(home: Home, server: Started) -> None:
    """A second server fails on the same database, and on the same port with another database; the
    first one still serves."""
    assert home.run("serve").sentence == (
        "another server is running on data/postcore.db; stop it first (several servers of one"
        " database need PostgreSQL)"
    )
    other = {"DATABASE_URL": "sqlite:///other.db", "GRPC_ADDRESS": server.address}
    shutil.copy(home.database, home.folder / "other.db")
    assert home.run("serve", "--sandbox", **other).sentence == (
        f"cannot listen on {server.address}; is the port taken? "
        "POSTCORE_GRPC_ADDRESS, POSTCORE_HTTP_ADDRESS and POSTCORE_ADMIN_ADDRESS name others"
    )
    assert health(server.address) == "SERVING"


@pytest.mark.quick
def test_healthcheck(home: Home, server: Started) -> None:
    """It prints SERVING with exit code 0, and ignores proxies in the environment; without a server,
    it fails with exit code 1."""
    home.more = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9")
    well = home.run("healthcheck", GRPC_ADDRESS=server.address)
    assert (well.code, well.out, well.err) == (0, "SERVING\n", "")
    server.process.kill()
    server.end()
    missing = home.run("healthcheck", GRPC_ADDRESS=server.address)
    assert missing.sentence == "no answer: UNAVAILABLE"


def test_calls_succeed_without_a_reader_of_the_log(home: Home, api_key: str) -> None:
    """Calls succeed after the pipe of standard error has lost its reader."""
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
