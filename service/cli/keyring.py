"""The commands `postcore keyring …`: the service's own keys, and their rotation."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import fail, operator_errors, run, settings, text
from service.settings import Settings

if TYPE_CHECKING:
    from service.crypto.rewrap import Count
    from service.crypto.rotation import Rotation


@click.group()
def keyring() -> None:
    """The service's own keys, in one file."""


@keyring.command("init")
def init_keyring() -> None:
    """Make a new keyring, with one key for each purpose; refuses to overwrite one."""
    from service.crypto.keyring import create_keyring, new_keys

    read = settings()
    with operator_errors():
        create_keyring(read.keyring_file, new_keys(_now().isoformat(timespec="seconds")))
    click.echo(
        f"made the keyring {read.keyring_file}; keep a copy of it apart from the database's",
        err=True,
    )


@keyring.command("status")
def keyring_status() -> None:
    """List the keyring's keys: id, purpose, state, time of creation, rows that name it, and how it
    wraps (of `seal` keys: direct, which has a bound, or derived).

    No rows are counted where there is no database yet.
    """
    from service.crypto.keyring import KeyPurpose, read_keys

    read = settings()
    with operator_errors():
        keys = read_keys(read.keyring_file)
    uses = run(_count(read)) if _has_database(read) else {}
    for key in keys:
        rows = uses.get(key.key_id, 0)
        wrap = key.wrap if key.purpose is KeyPurpose.SEAL else "-"
        click.echo(f"{key.key_id}\t{key.purpose}\t{key.state}\t{key.created_at}\t{rows}\t{wrap}")
    for key_id in sorted(uses.keys() - {key.key_id for key in keys}):
        click.echo(f"{uses[key_id]} rows name {key_id}, which is not in the keyring", err=True)


@keyring.command("add")
@click.option("--purpose", type=click.Choice(["seal", "api_key", "token"]), default="seal")
@click.option(
    "--retired",
    type=click.Path(path_type=Path),
    help="Put back the key that `retire` wrote to this file: it opens what it sealed, no more.",
)
def add_key(purpose: str, retired: Path | None) -> None:
    """Add a key that every process loads and none uses yet; prints its id."""
    from service.crypto.keyring import KeyPurpose

    with _held() as rotation:
        added = rotation.put_back(retired) if retired else rotation.add(KeyPurpose(purpose))
    click.echo("every process loads it within 5 seconds", err=True)
    click.echo(added.key_id)


@keyring.command("activate")
@click.argument("key_id", metavar="KEY", callback=text)
@click.option("--at-once", is_flag=True, help="Though it was added a moment ago.")
def activate_key(key_id: str, at_once: bool) -> None:
    """Use a key from now on in place of the former one of its purpose, which opens what it sealed.

    Refused for 10 seconds after it was added, so that every process has it by then.
    """
    with _held() as rotation:
        key = rotation.activate(key_id, at_once=at_once)
    click.echo(f"{key.key_id} is active", err=True)


@keyring.command("rewrap")
def rewrap() -> None:
    """Seal what is stored anew under the active key; goes on where it was cut short.

    The server may run meanwhile.
    """
    left = run(_rewrap(settings()))
    if left.unreadable:
        fail(f"{left.unreadable} secrets do not open and stay as they are; the log names them")
    if left.overtaken:
        fail(f"{left.overtaken} secrets have changed meanwhile; run it again")
    click.echo(f"{left.rewrapped} secrets rewrapped; all are under the active key", err=True)


async def _rewrap(read: Settings) -> "Count":
    from service.app.startup import open_store, open_vault
    from service.crypto.keyring import KeyPurpose, Keyring
    from service.crypto.rewrap import Rewrap
    from service.crypto.rotation import SETTLED, Rotation

    keyring = Keyring(read.keyring_file)
    async with open_store(read) as store:
        vault = await open_vault(store, keyring)
        work = Rewrap(
            store.secrets, store.facts, vault, keyring, lambda line: click.echo(line, err=True)
        )
        count = await work.run()
        age = Rotation(read.keyring_file, _now()).age(keyring.active(KeyPurpose.SEAL))
        if age < SETTLED:
            click.echo("waiting until no process uses the former key …", err=True)
            await asyncio.sleep(SETTLED - max(age, 0))
            more = await work.run()
            more.rewrapped += count.rewrapped
            count = more
    return count


@keyring.command("retire")
@click.argument("key_id", metavar="KEY", callback=text)
def retire_key(key_id: str) -> None:
    """Take a key out of the keyring and keep it in a file, whose path is printed.

    Refused while a row names it. Backups from before still do: keep the file with them, offline.
    """
    with _held() as rotation:
        rotation.key(key_id)
        rows = run(_count(settings(), prove=True)).get(key_id, 0)
        file = rotation.retire(key_id, rows)
    click.echo("keep this file offline: backups from before need it", err=True)
    click.echo(file)


@contextmanager
def _held() -> Iterator["Rotation"]:
    from service.crypto.rotation import Rotation

    with operator_errors(), Rotation.held(settings().keyring_file, _now()) as rotation:
        yield rotation


async def _count(read: Settings, *, prove: bool = False) -> Mapping[str, int]:
    """How many rows name each key; *prove*: of a database that is surely this keyring's."""
    from service.app.startup import StartError, open_store, open_vault
    from service.crypto.canary import sealed_canary
    from service.crypto.keyring import Keyring
    from service.domain.clock import SystemClock

    async with open_store(read) as store:
        canary = None
        with suppress(ValueError):  # of one that was altered `prove` tells
            canary = await sealed_canary(store.facts)
        if prove:
            if canary is None:
                raise StartError(
                    "no keyring has ever been used with this database; "
                    "is it the one that POSTCORE_DATABASE_URL should name?"
                )
            await open_vault(store, Keyring(read.keyring_file))
        uses = Counter(await store.secrets.key_uses(SystemClock().now()))
    if canary is not None:
        uses[canary.ring_key_id] += 1
    return uses


def _has_database(read: Settings) -> bool:
    return not read.database_url.startswith("sqlite:") or read.database_file.exists()


def _now() -> datetime:
    return datetime.now(UTC)
