"""Doctor as a user types it, at the sandbox; tests/identity has it in a network of its own."""

import socket

import pytest

from tests.cli.home import Home

pytestmark = pytest.mark.process


def test_the_sandboxs_accounts_are_looked_at(home: Home) -> None:
    """A good one, one that is taken down, one that is not there, and a directory that is away."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = [each.getsockname()[1] for each in (one, two)]
    at, control = (f"127.0.0.1:{port}" for port in ports)
    settings = {"SANDBOX_ADDRESS": at, "SANDBOX_CONTROL_ADDRESS": control}
    with home.serve("--sandbox", **settings):
        good = home.run("doctor", "--sandbox", "@Alice.test", **settings)
        assert good.code == 0, good
        assert [line.split()[0] for line in good.out.splitlines()] == [
            *("handle", "DID", "document", "back-link", "server", "description", "account")
        ]
        assert home.run("sandbox", "take-down", "alice.test", **settings).code == 0
        closed = home.run("doctor", "--sandbox", "alice.test", **settings)
        assert (closed.code, closed.out.splitlines()[-1].split()[:2]) == (1, ["DID", "failed"])
        nobody = home.run("doctor", "--sandbox", "nobody.test", **settings)
        assert nobody.code == 1
        assert "HANDLE_NOT_FOUND" in nobody.err
        assert (
            home.run("sandbox", "break", "status", "plc", "--status", "503", **settings).code == 0
        )
        away = home.run("doctor", "--sandbox", "user.bsky.social", **settings)
        assert away.code == 1
        assert "cause=SERVER_ERROR httpStatus=503 step=DOCUMENT" in away.err


def free() -> str:
    """An address with a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"
