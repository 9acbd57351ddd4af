"""Starting: what `serve` does before it takes calls, and what keeps it from that."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from service.app.serving import serving
from service.app.startup import StartError, claim_mode, open_store, open_vault
from service.crypto.keyring import KeyPurpose, Keyring, KeyringError, create_keyring, new_keys
from service.storage.engine import StoreError
from service.storage.migrations import HEAD
from service.storage.sqlite_file import schema_revision
from service.transport.listening import PortTaken
from tests.cli.calls import health
from tests.cli.home import DEADLINE, Home

# what takes long to load, and is not needed to take calls
HEAVY = ("atproto_client", "asyncpg", "sqlalchemy", "alembic", "service.sandbox")
TELL_HEAVY = f"""
import json, sys
import click

def echo(line):
    told.append([name for name in {HEAVY!r} if name in sys.modules])
    sys.stdout.write(json.dumps(told) + "\\n")
    raise SystemExit(0)

told = []
click.echo = echo
from service.cli.main import main
sys.argv = ["postcore", "serve"]
main()
"""


@contextmanager
def taken_port() -> Iterator[str]:
    """An address that somebody listens on, in the way that lets the most others in."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def ipv6() -> list[str]:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return ["[::1]"]
    except OSError:
        return []


IPV6 = ipv6()
"""Its loopback address, where this machine has it."""


@pytest.mark.quick
@pytest.mark.process
def test_one_line_tells_that_calls_are_taken(empty_home: Home) -> None:
    """On standard output, with the port that was picked, and by then the schema is there, in
    files for their owner alone; after that line nothing more is printed there."""
    create_keyring(empty_home.keyring, new_keys("test"))
    assert not empty_home.database.exists()
    with empty_home.serve() as server:
        assert re.fullmatch(r"127\.0\.0\.1:[1-9][0-9]{3,4}", server.address)
        assert schema_revision(empty_home.database) == HEAD
        assert health(server.address) == "SERVING"
        files = list(empty_home.keyring.parent.iterdir())
        assert {path.suffix for path in files} == {".json", ".db", ".db-shm", ".db-wal", ".serve"}
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert (server.end(signal.SIGTERM), server.rest(), server.errors) == (0, [], "")


@pytest.mark.process
def test_nothing_heavy_is_loaded_before_calls_are_taken(home: Home) -> None:
    """The SDK comes after the ready line, the sandbox and migrations not at all."""
    done = subprocess.run(
        [sys.executable, "-c", TELL_HEAVY],
        cwd=home.folder,
        env=home.environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert json.loads(done.stdout) == [[]]


@pytest.mark.process
def test_a_missing_keyring_is_told_before_anything_is_made(empty_home: Home) -> None:
    """A start that is refused for it leaves nothing behind, least of all a database that is
    marked live."""
    assert empty_home.run("serve").sentence == (
        "there is no keyring at data/keyring.json; make one: postcore keyring init"
    )
    assert list(empty_home.folder.iterdir()) == []


@pytest.mark.process
async def test_another_keyring_is_refused(home: Home) -> None:
    """A database is served, and keys are made, with the keyring that it was first used with; the
    canary tells, though nothing else is sealed yet."""
    settings = home.settings()
    async with open_store(settings) as store:
        await open_vault(store, Keyring(home.keyring))
    home.keyring.unlink()
    create_keyring(home.keyring, new_keys("another"))
    sentence = home.run("serve").sentence
    assert sentence.startswith("the keyring is not the one that this database was sealed with")
    assert home.run("api-keys", "create", "--tenant", "ten_x").sentence == sentence


@pytest.mark.parametrize("purpose", KeyPurpose)
async def test_a_keyring_whose_key_was_altered_is_refused(home: Home, purpose: KeyPurpose) -> None:
    """The id alone does not do; nor that the other keys are right."""
    settings = home.settings()
    async with open_store(settings) as store:
        await open_vault(store, Keyring(home.keyring))
    written = json.loads(home.keyring.read_text())
    [key] = [key for key in written["keys"] if key["purpose"] == purpose]
    key["key"] = ("B" if key["key"][0] == "A" else "A") + key["key"][1:]
    home.keyring.write_text(json.dumps(written))
    with pytest.raises(StartError, match="not the one that this database was sealed with"):
        async with serving(settings):
            pass


@pytest.mark.parametrize("canary", ["", "x", "seal-1 zz", "seal-1 00"])
async def test_a_canary_that_was_altered_is_refused(home: Home, canary: str) -> None:
    """Whatever stands in its place, it is no keyring's proof."""
    with closing(sqlite3.connect(home.database)) as database, database:
        database.execute("INSERT INTO facts VALUES ('canary', ?)", [canary])
    with pytest.raises(StartError, match="not the one that this database was sealed with"):
        async with serving(home.settings()):
            pass


@pytest.mark.process
@pytest.mark.parametrize(("mode", "other"), [("live", "sandbox"), ("sandbox", "live")])
async def test_a_database_is_live_or_a_sandbox_for_good(home: Home, mode: str, other: str) -> None:
    """The other mode refuses to start on it."""
    settings = home.settings()
    async with open_store(settings) as store:
        await claim_mode(store, mode)
    arguments = ["--sandbox"] if other == "sandbox" else []
    assert home.run("serve", *arguments).sentence == (
        f"this database is a {mode} one, and the service was started in {other} mode; "
        "name another in POSTCORE_DATABASE_URL"
    )


@pytest.mark.parametrize("name", ["GRPC_ADDRESS", "HTTP_ADDRESS", "SANDBOX_ADDRESS"])
@pytest.mark.parametrize(
    "address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1.example.com:0"]
)
async def test_the_sandbox_is_for_this_machine_alone(home: Home, name: str, address: str) -> None:
    """It refuses every address that is not loopback, of its own and of the service's."""
    settings = home.settings(**{name: address}, ALLOW_PLAINTEXT="true")
    with pytest.raises(StartError, match=r"the sandbox is for this machine alone; .* loopback"):
        async with serving(settings, sandbox=True):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", *IPV6])
async def test_the_sandbox_listens_on_every_name_of_loopback(home: Home, host: str) -> None:
    """An address, IPv6's, and localhost."""
    names = ("GRPC_ADDRESS", "HTTP_ADDRESS", "SANDBOX_ADDRESS")
    settings = home.settings(**dict.fromkeys(names, f"{host}:0"))
    async with serving(settings, sandbox=True) as started:
        for address in (started.grpc, started.http):
            assert re.fullmatch(re.escape(host) + r":[1-9]\d+", address)


@pytest.mark.process
async def test_a_port_that_is_taken_is_told(home: Home) -> None:
    """In a sentence that says how to choose another, with exit code 1, though the other would
    share it; so for the sandbox's."""
    with taken_port() as address:
        taken = f"cannot listen on {address}; is the port taken?"
        sentence = f"{taken} POSTCORE_GRPC_ADDRESS and POSTCORE_HTTP_ADDRESS name others"
        assert home.run("serve", GRPC_ADDRESS=address).sentence == sentence
        assert home.run("serve", HTTP_ADDRESS=address).sentence == sentence
        with pytest.raises(StartError) as caught:
            async with serving(home.settings(SANDBOX_ADDRESS=address), sandbox=True):
                pass
        others = "POSTCORE_SANDBOX_ADDRESS and POSTCORE_SANDBOX_CONTROL_ADDRESS name others"
        assert str(caught.value) == f"{taken} {others}"


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "192.0.2.1:1"])
async def test_an_address_that_is_not_ours_is_told(home: Home, address: str) -> None:
    """A name that leads nowhere, and the address of another machine."""
    for name in ("GRPC_ADDRESS", "HTTP_ADDRESS"):
        with pytest.raises(PortTaken, match="cannot listen on"):
            async with serving(home.settings(**{name: address, "ALLOW_PLAINTEXT": "true"})):
                pass


@pytest.mark.parametrize("name", ["EGRESS_CA_FILE", "EGRESS_PROXY_CA_FILE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_further_roots_that_cannot_be_loaded_are_told(
    home: Home, name: str, content: str | None
) -> None:
    """By the variable's name, be the file missing or something else."""
    file = home.folder / "roots.pem"
    if content:
        file.write_text(content)
    with pytest.raises(StartError, match=f"POSTCORE_{name}: "):
        async with serving(home.settings(**{name: str(file)})):
            pass


async def test_a_start_that_fails_frees_what_it_took(home: Home) -> None:
    """However far it came: the same process can start the service on the same file after it."""
    with taken_port() as address:
        for settings, error in (
            (home.settings(GRPC_ADDRESS=address), PortTaken),
            (home.settings(HTTP_ADDRESS=address), PortTaken),
            (home.settings(EGRESS_CA_FILE="nothing"), StartError),
        ):
            with pytest.raises(error):
                async with serving(settings):
                    pass
    home.keyring.chmod(0o644)
    with pytest.raises(KeyringError):
        async with serving(home.settings()):
            pass
    home.keyring.chmod(0o600)
    async with serving(home.settings()):
        with pytest.raises(StoreError, match="another server is running"):
            async with serving(home.settings()):
                pass
