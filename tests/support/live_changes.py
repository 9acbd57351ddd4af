"""Live changes beside a running service: commands, look-ups in its store, and planted data."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from service.app.startup import open_store
from service.crypto.keyring import Key, Keyring, Wrap, new_keys
from service.crypto.vault import Vault
from service.domain.clock import SystemClock
from service.domain.model import DAY, Session
from service.domain.records import Envelope, LoginWrite, Purpose, SecretAddress
from service.settings import Settings
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.engines import rows
from tests.support.running import Running


@dataclass
class Command:
    """The exit code and the output of a command beside the service."""

    code: int
    out: str
    err: str


@asynccontextmanager
async def started(service: Running, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {name: value for name, value in os.environ.items() if "POSTCORE_" not in name}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **kept,
            "POSTCORE_DATABASE_URL": service.settings.database_url,
            "POSTCORE_KEYRING_FILE": str(service.settings.keyring_file),
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def command(service: Running, *arguments: str) -> Command:
    async with started(service, *arguments) as process, asyncio.timeout(60):
        out, err = await process.communicate()
        assert process.returncode is not None
    return Command(process.returncode, out.decode(), err.decode())


async def done(service: Running, *arguments: str) -> str:
    """Run a command that must succeed and return its output."""
    ended = await command(service, *arguments)
    assert ended.code == 0, ended
    return ended.out.strip()


def old_keys(created_at: str) -> list[Key]:
    """Return new keys in the format of the program before `derived` keys, which can read them."""
    return [replace(key, wrap=Wrap.DIRECT) for key in new_keys(created_at)]


def age(keyring: Path) -> None:
    """Backdate the states of all keys, so that no test waits for their minimum age."""
    written = json.loads(keyring.read_text())
    for key in written["keys"]:
        key["since"] = "2026-01-02T03:04:05+00:00"
    draft = keyring.with_name("aged")
    draft.touch(0o600)
    draft.write_text(json.dumps(written))
    draft.rename(keyring)


def opened(service: Running) -> dict[tuple[str, str], str]:
    """Return every secret of the store by profile and purpose; raise if one does not open."""
    return opened_by(service.settings)


def opened_by(read: Settings) -> dict[tuple[str, str], str]:
    """Return the same for the store that *read* names, whether it is served or not."""
    vault = Vault(Keyring(read.keyring_file))
    found = {}
    for purpose, table in ((Purpose.CREDENTIAL, "credentials"), (Purpose.SESSION, "sessions")):
        for row in rows(
            read.database_url,
            "SELECT c.tenant_id, c.profile_key, c.platform, c.account_id, c.origin, c.generation,"
            f" s.ring_key_id, s.envelope FROM connections c JOIN {table} s"
            " USING (tenant_id, profile_key, platform)",
        ):
            sealed = Envelope(row.pop("ring_key_id"), row.pop("envelope"))
            found[row["profile_key"], purpose.value] = vault.open(
                sealed, purpose, SecretAddress(**row)
            )
    return found


async def plant(service: Running, count: int) -> None:
    """Create *count* connections, as logins would."""
    vault, now = Vault(Keyring(service.settings.keyring_file)), SystemClock().now()

    def saved(number: int) -> LoginWrite:
        address = SecretAddress(
            service.tenant_id,
            f"prof_planted{number:06}",
            "bluesky",
            f"did:plc:{number:024}",
            "https://planted.example",
            number,
        )
        return LoginWrite(
            address,
            f"u{number}.example",
            vault.seal(f"password {number}", Purpose.CREDENTIAL, address),
            vault.seal_session(Session("access", f"refresh {number}", now + DAY), address),
            now + DAY,
            now + DAY,
            create_profile=True,
            reservation=None,
            at=now,
        )

    async with open_store(service.settings) as store:
        for start in range(0, count, 500):
            some = range(start, min(start + 500, count))
            await asyncio.gather(*(store.connections.save_login(saved(number)) for number in some))


async def people(service: Running, sandbox: SandboxBluesky, count: int) -> dict[str, Person]:
    """Connect *count* accounts; return their owners by profile."""
    found = {}
    for _ in range(count):
        person = await sandbox.person()
        reply = await service.connect(person.handle, person.app_password)
        found[reply.profile_key] = person
    return found
