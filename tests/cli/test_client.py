"""`postcore client`: replies in JSON; secrets from anywhere but arguments; watches that end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli.client_failure import Kind
from service.domain.model import Scope
from tests.cli.home import COMMAND, DEADLINE, Home
from tests.cli.terminal import Terminal
from tests.support import sharing
from tests.support.authority import Authority
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


async def test_the_story(terminal: Terminal, sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """Connect, get, list, verify, lease and watch print the contract's messages."""
    person = await sandbox.person()
    connected = await terminal.run(
        "connect",
        "bluesky",
        f"handle={person.handle}",
        "--secret-stdin",
        stdin=f"{person.app_password}\n".encode(),
    )
    assert (connected.code, connected.err) == (0, "")
    reply = json.loads(connected.out)
    assert reply.keys() == {"profileKey", "platform", "username"}
    key = reply["profileKey"]
    profile = json.loads((await terminal.run("get", key)).out)
    assert profile["connectedPlatforms"][0]["accountId"] == person.did
    listed = (await terminal.run("list")).out.splitlines()
    assert [json.loads(line) for line in listed] == [profile]
    assert (await terminal.run("list", "--needs-reconnect-only")).out == ""
    verified = json.loads((await terminal.run("verify", key, "bluesky")).out)
    assert verified["state"] == "CONNECTION_STATE_HEALTHY"
    leasing, _ = await sandboxed.new_key(Scope.SESSIONS_LEASE)
    leased = json.loads((await terminal.run("lease", key, "bluesky", POSTCORE_API_KEY=leasing)).out)
    assert leased["authorization"] == f"Bearer {leased['accessToken']}"
    token = leased["accessToken"].encode()
    again = await terminal.run(
        "lease", key, "bluesky", "--rejected-stdin", stdin=token, POSTCORE_API_KEY=leasing
    )
    assert json.loads(again.out).keys() == leased.keys()


async def test_api_keys_come_from_anywhere_but_arguments(
    terminal: Terminal, sandboxed: Running, tmp_path: Path
) -> None:
    """A file wins over the environment; without both, one is asked for at a terminal only."""
    file = tmp_path / "key"
    file.write_text(f"{sandboxed.api_key}\n")
    assert (
        await terminal.run("list", "--api-key-file", str(file), POSTCORE_API_KEY="no")
    ).code == 0
    outcome = await terminal.run("list", POSTCORE_API_KEY="")
    assert outcome.code == 2
    assert "there is no API key: set POSTCORE_API_KEY, or give --api-key-file" in outcome.err
    for bad in ("two words", "ключ", "x" * 1025):
        outcome = await terminal.run("list", POSTCORE_API_KEY=bad)
        assert outcome.code == Kind.API_KEY
        assert bad not in outcome.err


@pytest.mark.process
async def test_a_terminal_is_asked_without_echo(
    terminal: Terminal, sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """The API key and the app password are not shown; the handle is."""
    person = await sandbox.person()
    environ = {**terminal.environ, "POSTCORE_API_KEY": ""}
    command = [sys.executable, "-c", IN_TERMINAL, *COMMAND, "client", "connect", "bluesky"]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=terminal.folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    shown = b""
    async with asyncio.timeout(DEADLINE):
        for prompt, typed in (
            (b"API key: ", sandboxed.api_key),
            (b"Bluesky handle: ", person.handle),
            (b"App password: ", person.app_password),
        ):
            while not shown.endswith(prompt):
                part = await process.stdout.read(1)
                assert part, shown
                shown += part
            process.stdin.write(f"{typed}\n".encode())
        shown += await process.stdout.read()
        assert await process.wait() == 0
    assert f'"username": "{person.handle}"'.encode() in shown
    assert shown.count(person.handle.encode()) == 2
    assert sandboxed.api_key.encode() not in shown
    assert person.app_password.encode() not in shown


@pytest.mark.process
async def test_a_watch_goes_on_after_its_cursor(
    terminal: Terminal, sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """A line has events and a cursor; it ends at once when nobody reads on, and at Ctrl+C."""
    person = await sandbox.person()
    process = await terminal.started("watch")
    assert process.stdout
    async with asyncio.timeout(DEADLINE):
        first = json.loads(await process.stdout.readline())
        assert first["events"] == []
        await sandboxed.connect(person.handle, person.app_password)
        second = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.stderr
    assert await process.stderr.read() == b""
    [event] = second["events"]
    assert event["kind"] == "KIND_CONNECTED"
    again = await terminal.started("watch", "--cursor", first["cursor"])
    assert again.stdout
    async with asyncio.timeout(DEADLINE):
        message = json.loads(await again.stdout.readline())
        while not message["events"]:
            message = json.loads(await again.stdout.readline())
        assert message["events"] == [event]
        again.stdout._transport.close()  # type: ignore[attr-defined]
        assert await again.wait() == 141


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_a_watch_ends_with_its_server(
    home: Home, api_key: str, tmp_path: Path, number: signal.Signals
) -> None:
    """At a drain and at a kill, it says with which cursor to go on, and is unavailable."""
    with home.serve() as server:
        terminal = Terminal(tmp_path, server.address, api_key)
        process = await terminal.started("watch")
        assert process.stdout
        assert process.stderr
        async with asyncio.timeout(DEADLINE):
            cursor = json.loads(await process.stdout.readline())["cursor"]
            server.process.send_signal(number)
            assert await process.wait() == Kind.UNAVAILABLE
            errors = (await process.stderr.read()).decode().splitlines()
    reason = "SERVICE_UNAVAILABLE" if number is signal.SIGTERM else "UNAVAILABLE"
    assert errors[0].startswith(f"Error: {reason}: ")
    assert errors[-1] == f"  go on with: postcore client watch --cursor {cursor}"


@pytest.mark.process
async def test_output_that_cannot_be_written_is_a_sentence(
    terminal: Terminal, sandboxed: Running
) -> None:
    """A full disk is an error, a reader that has gone is none."""
    key = await sandboxed.new_profile()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        process = await terminal.started("get", key, out=full)
        _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    finally:
        os.close(full)
    assert (process.returncode, errors) == (
        Kind.OTHER,
        b"Error: standard output: No space left on device\n",
    )


@pytest.mark.slow
async def test_tls(sandbox: SandboxBluesky, database: Path, tmp_path: Path) -> None:
    """It trusts the given authority only, and presents a certificate where one is asked for."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("server", "127.0.0.1", "localhost")
    mine, my_key = authority.issue("client", "client")
    given = {
        **sandbox.settings(),
        "TLS_CERT_FILE": str(cert),
        "TLS_KEY_FILE": str(key),
        "TLS_CLIENT_CA_FILE": str(authority.file),
    }
    trust = ("--ca-file", str(authority.file))
    async with running(database, given) as service:
        terminal = Terminal(tmp_path, service.address, service.api_key)
        shown = ("--cert-file", str(mine), "--key-file", str(my_key))
        assert (await terminal.run("list", *trust, *shown)).code == 0
        for wrong in (trust, ("--tls",), ("--tls", *shown), ()):
            assert (await terminal.run("list", *wrong, "--timeout", "5")).code == Kind.UNAVAILABLE
