"""The commands `postcore keyring …`: the service's own keys, and their rotation."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.auditing import recorded
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
    """Make a new keyring.

    It has one key for each purpose. Fails where there is a keyring already.
    """
    from service.crypto.keyring import create_keyring, new_keys

    read = settings()
    with operator_errors():
        create_keyring(read.keyring_file, new_keys(_now().isoformat(timespec="seconds")))
    click.echo(
        f"made the keyring {read.keyring_file}; keep a copy apart from copies of the database",
        err=True,
    )


@keyring.command("status")
def keyring_status() -> None:
    """List the keyring's keys.

    Each line has the key's id, purpose, state, time of creation, the number of rows that name it,
    and how it wraps (`seal` keys only: direct, which has a limit, or derived). Without a database,
    no rows are counted.
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
    help="Add the key that `retire` wrote to this file; it only opens what it sealed.",
)
def add_key(purpose: str, retired: Path | None) -> None:
    """Add a key and print its id.

    Every process loads it within 5 seconds. None uses it until it is activated.
    """
    from service.crypto.keyring import KeyPurpose

    with _changed("keyring add") as rotation:
        added = rotation.put_back(retired) if retired else rotation.add(KeyPurpose(purpose))
    click.echo("every process loads it within 5 seconds", err=True)
    click.echo(added.key_id)


@keyring.command("activate")
@click.argument("key_id", metavar="KEY", callback=text)
@click.option("--at-once", is_flag=True, help="Allow this in those 10 seconds, too.")
def activate_key(key_id: str, at_once: bool) -> None:
    """Make a key the active one of its purpose.

    The former active key still opens what it sealed. Fails in the first 10 seconds after the key
    was added, in which processes may not have loaded it.
    """
    with _changed("keyring activate", key_id) as rotation:
        key = rotation.activate(key_id, at_once=at_once)
    click.echo(f"{key.key_id} is active", err=True)


@keyring.command("rewrap")
def rewrap() -> None:
    """Seal all secrets again with the active key.

    The server may run meanwhile. An interrupted run can be repeated.
    """
    read = settings()
    with recorded(read, "keyring rewrap"):
        count = run(_rewrap(read))
    if count.unreadable:
        fail(f"{count.unreadable} secrets do not open and stay as they are; the log names them")
    if count.overtaken:
        fail(f"{count.overtaken} secrets have changed meanwhile; run the command again")
    click.echo(f"{count.rewrapped} secrets rewrapped; all are under the active key", err=True)


async def _rewrap(read: Settings) -> "Count":
    from service.app.startup import open_store, open_vault
    from service.crypto.keyring import KeyPurpose, Keyring
    from service.crypto.rewrap import Rewrap
    from service.crypto.rotation import PROPAGATION_SECONDS, Rotation

    keyring = Keyring(read.keyring_file)
    async with open_store(read) as store:
        vault = await open_vault(store, keyring)
        work = Rewrap(
            store.secrets, store.facts, vault, keyring, lambda line: click.echo(line, err=True)
        )
        count = await work.run()
        age = Rotation(read.keyring_file, _now()).age(keyring.active(KeyPurpose.SEAL))
        if age < PROPAGATION_SECONDS:
            click.echo("waiting until no process uses the former key …", err=True)
            await asyncio.sleep(PROPAGATION_SECONDS - max(age, 0))
            more = await work.run()
            more.rewrapped += count.rewrapped
            count = more
    return count


@keyring.command("retire")
@click.argument("key_id", metavar="KEY", callback=text)
def retire_key(key_id: str) -> None:
    """Move a key from the keyring to a file.

    Prints the file's path. Fails while a row in the database names the key. Older backups still
    name it: keep the file with them, offline.
    """
    with _changed("keyring retire", key_id) as rotation:
        rotation.key(key_id)
        rows = run(_count(settings(), prove=True)).get(key_id, 0)
        file = rotation.retire(key_id, rows)
    click.echo("keep this file offline: older backups need it", err=True)
    click.echo(file)


@contextmanager
def _changed(command: str, key_id: str = "") -> Iterator["Rotation"]:
    """Lock the keyring for a change by *command*, and record that in the audit trail."""
    from service.crypto.rotation import Rotation

    read = settings()
    with (
        recorded(read, command, key_id),
        operator_errors(),
        Rotation.locked(read.keyring_file, _now()) as rotation,
    ):
        yield rotation


async def _count(read: Settings, *, prove: bool = False) -> Mapping[str, int]:
    """Count the rows that name each key; with *prove*, raise StartError on another keyring's
    database."""
    from service.app.startup import StartError, open_store, open_vault
    from service.crypto.canary import sealed_canary
    from service.crypto.keyring import Keyring
    from service.domain.clock import SystemClock

    async with open_store(read) as store:
        canary = None
        with suppress(ValueError):  # damaged: `prove` reports it
            canary = await sealed_canary(store.facts)
        if prove:
            if canary is None:
                raise StartError(
                    "this database was never used with a keyring; "
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
