"""The commands `postcore migrate` and `postcore backup`."""

from pathlib import Path

import click

from service.cli.auditing import recorded
from service.cli.console import operator_errors, run, settings


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    read = settings()

    async def work() -> None:
        from service.app.startup import open_store

        async with open_store(read):
            pass

    with recorded(read, "migrate"):
        run(work())
    click.echo("the schema is up to date", err=True)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Copy the database to a file.

    Writes a consistent copy, without the keyring, to PATH, which must not exist. The server may run
    meanwhile.
    """
    from service.storage.backup import back_up

    read = settings()
    with recorded(read, "backup"), operator_errors():
        back_up(read.database_url, path)
    click.echo(f"copied the database to {path}; the keyring is not in it", err=True)
