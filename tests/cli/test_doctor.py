"""The command `doctor` at the sandbox; tests/identity runs it in a network of its own."""

import socket

import pytest

from tests.cli.home import Home

pytestmark = pytest.mark.process


def test_doctor_examines_the_sandboxs_accounts(home: Home) -> None:
    """It examines an active account, a taken-down one and an unknown one, and reports an
    unreachable directory."""
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
        missing = home.run("doctor", "--sandbox", "nobody.test", **settings)
        assert missing.code == 1
        assert "HANDLE_NOT_FOUND" in missing.err
        assert (
            home.run("sandbox", "break", "status", "plc", "--status", "503", **settings).code == 0
        )
        away = home.run("doctor", "--sandbox", "user.bsky.social", **settings)
        assert away.code == 1
        assert "cause=SERVER_ERROR httpStatus=503 step=DOCUMENT" in away.err


def free() -> str:
    """Return an address on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"
