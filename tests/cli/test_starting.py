"""Starting: what `serve` does before it takes calls, and the errors that stop it."""

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

# modules that are slow to load and not needed to take calls
HEAVY = ("atproto_client", "asyncpg", "sqlalchemy", "alembic", "service.sandbox")
LIST_HEAVY = f"""
import json, sys
import click

def echo(line):
    loaded.append([name for name in {HEAVY!r} if name in sys.modules])
    sys.stdout.write(json.dumps(loaded) + "\\n")
    raise SystemExit(0)

loaded = []
click.echo = echo
from service.cli.main import main
sys.argv = ["postcore", "serve"]
main()
"""


@contextmanager
def taken_port() -> Iterator[str]:
    """An address with a listener that shares its port as far as the system allows."""
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
def test_one_line_says_that_calls_are_taken(empty_home: Home) -> None:
    """It names the chosen port, on standard output. By then the schema is there, in files that only
    the owner may read; nothing is printed after it."""
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
    """The SDK is loaded after the ready line; the sandbox and the migrations are not loaded at
    all."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_HEAVY],
        cwd=home.folder,
        env=home.environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert json.loads(done.stdout) == [[]]


@pytest.mark.process
def test_a_missing_keyring_is_reported_before_anything_is_made(empty_home: Home) -> None:
    """The failed start leaves nothing, above all no database marked live."""
    assert empty_home.run("serve").sentence == (
        "there is no keyring at data/keyring.json; make one: postcore keyring init"
    )
    assert list(empty_home.folder.iterdir()) == []


@pytest.mark.process
async def test_another_keyring_is_rejected(home: Home) -> None:
    """The canary shows that the database was used with another keyring, even if nothing else is
    sealed; serving and creating API keys fail."""
    settings = home.settings()
    async with open_store(settings) as store:
        await open_vault(store, Keyring(home.keyring))
    home.keyring.unlink()
    create_keyring(home.keyring, new_keys("another"))
    sentence = home.run("serve").sentence
    assert sentence.startswith("the keyring is not the one that this database was sealed with")
    assert home.run("api-keys", "create", "--tenant", "ten_x").sentence == sentence


@pytest.mark.parametrize("purpose", KeyPurpose)
async def test_a_keyring_with_an_altered_key_is_rejected(home: Home, purpose: KeyPurpose) -> None:
    """A key with the right id and another secret is detected, for each purpose."""
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
async def test_an_altered_canary_is_rejected(home: Home, canary: str) -> None:
    """A damaged canary proves no keyring."""
    with closing(sqlite3.connect(home.database)) as database, database:
        database.execute("INSERT INTO facts VALUES ('canary', ?)", [canary])
    with pytest.raises(StartError, match="not the one that this database was sealed with"):
        async with serving(home.settings()):
            pass


@pytest.mark.process
@pytest.mark.parametrize(("mode", "other"), [("live", "sandbox"), ("sandbox", "live")])
async def test_a_database_is_live_or_a_sandbox_for_good(home: Home, mode: str, other: str) -> None:
    """The other mode fails to start on it."""
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
    """It rejects every address outside loopback, of the sandbox and of the service."""
    settings = home.settings(**{name: address}, ALLOW_PLAINTEXT="true")
    with pytest.raises(StartError, match=r"the sandbox is for this machine alone; .* loopback"):
        async with serving(settings, sandbox=True):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", *IPV6])
async def test_the_sandbox_listens_on_every_name_of_loopback(home: Home, host: str) -> None:
    """It accepts IPv4, IPv6 and localhost."""
    names = ("GRPC_ADDRESS", "HTTP_ADDRESS", "SANDBOX_ADDRESS")
    settings = home.settings(**dict.fromkeys(names, f"{host}:0"))
    async with serving(settings, sandbox=True) as started:
        for address in (started.grpc, started.http):
            assert re.fullmatch(re.escape(host) + r":[1-9]\d+", address)


async def test_an_origin_of_an_unknown_platform_is_rejected(home: Home) -> None:
    """The error lists the platforms there are."""
    there_are = "POSTCORE_PLATFORM_ORIGINS: no platform bluesy; there are bluesky, ghost, "
    with pytest.raises(StartError, match=there_are):
        async with serving(home.settings(PLATFORM_ORIGINS="bluesy=https://a.example")):
            pass


@pytest.mark.process
async def test_a_taken_port_is_reported(home: Home) -> None:
    """The sentence says how to choose another, with exit code 1, even if the other listener would
    share the port; likewise for the sandbox."""
    with taken_port() as address:
        taken = f"cannot listen on {address}; is the port taken?"
        others = "POSTCORE_GRPC_ADDRESS, POSTCORE_HTTP_ADDRESS and POSTCORE_ADMIN_ADDRESS"
        sentence = f"{taken} {others} name others"
        assert home.run("serve", GRPC_ADDRESS=address).sentence == sentence
        assert home.run("serve", HTTP_ADDRESS=address).sentence == sentence
        assert home.run("serve", ADMIN_ADDRESS=address).sentence == sentence
        with pytest.raises(StartError) as caught:
            async with serving(home.settings(SANDBOX_ADDRESS=address), sandbox=True):
                pass
        others = "POSTCORE_SANDBOX_ADDRESS and POSTCORE_SANDBOX_CONTROL_ADDRESS name others"
        assert str(caught.value) == f"{taken} {others}"


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "192.0.2.1:1"])
async def test_an_address_of_another_machine_is_reported(home: Home, address: str) -> None:
    """Examples: a name without an address, and the address of another machine."""
    for name in ("GRPC_ADDRESS", "HTTP_ADDRESS"):
        with pytest.raises(PortTaken, match="cannot listen on"):
            async with serving(home.settings(**{name: address, "ALLOW_PLAINTEXT": "true"})):
                pass


@pytest.mark.parametrize("name", ["EGRESS_CA_FILE", "EGRESS_PROXY_CA_FILE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_roots_that_cannot_be_loaded_are_reported(
    home: Home, name: str, content: str | None
) -> None:
    """The sentence has the variable's name, if the file is missing or has no certificates."""
    file = home.folder / "roots.pem"
    if content:
        file.write_text(content)
    with pytest.raises(StartError, match=f"POSTCORE_{name}: "):
        async with serving(home.settings(**{name: str(file)})):
            pass


async def test_a_start_that_fails_frees_what_it_took(home: Home) -> None:
    """After a start that failed at any step, the same process can start the service on the same
    file."""
    with taken_port() as address:
        for settings, error in (
            (home.settings(GRPC_ADDRESS=address), PortTaken),
            (home.settings(HTTP_ADDRESS=address), PortTaken),
            (home.settings(ADMIN_ADDRESS=address), PortTaken),
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
