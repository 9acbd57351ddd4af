"""The command `postcore`: values alone and last on standard output, all else on standard error."""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from service import __version__
from service.cli.audit import audit
from service.cli.console import fail, faults, operator_errors, run, settings, text
from service.cli.database import backup, migrate
from service.cli.keyring import keyring
from service.cli.serve import healthcheck, serve
from service.cli.tenants import api_keys, tenants
from service.cli.webhooks import webhooks
from service.runtime import core_dumps
from service.settings import ConfigError


def main() -> None:
    """Run the command; an error that an operator can correct is one sentence and exit code 1."""
    core_dumps.turn_off()
    # lines of grpc's core would stand between those of the log
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    cli(prog_name="postcore")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Connects people's social accounts by credentials: Bluesky, WordPress, Mastodon, Ghost.

    Settings come from the environment, all named POSTCORE_…; `config check` reports every error
    in them.
    """


for command in (serve, healthcheck, migrate, backup, tenants, api_keys, webhooks, audit, keyring):
    cli.add_command(command)


@cli.group()
def config() -> None:
    """The settings."""


@config.command("check")
def check_config() -> None:
    """Report every error in the settings.

    Without any, prints the settings in force, secrets masked.
    """
    from service.app.startup import certificates

    read = settings()
    with operator_errors():
        certificates(read)
    for name, value in read:
        secret = name == "database_url" and (read.is_postgres or "@" in str(value))
        shown = "set" if secret else _shown(value)
        click.echo(f"POSTCORE_{name.upper()}={shown}", err=True)
    click.echo("ok")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}={each}" for name, each in value.items())
    return "" if value is None else str(value)


@cli.command()
@click.argument("handle", callback=text)
@click.option("--sandbox", is_flag=True, help="At the sandbox that `serve --sandbox` runs here.")
def doctor(handle: str, sandbox: bool) -> None:
    """Show each step from a handle to its server.

    Takes the steps that a connect of a Bluesky HANDLE takes. Each line has the step, its result
    (`ok` or `failed`; `-` where the step alone does not decide), the milliseconds it took, and what
    was found. No login is spent. The exit code is 1 where a connect would fail.
    """
    from service.app.diagnosis import diagnose

    read = settings()
    error = run(diagnose(read, handle, click.echo, sandbox=sandbox))
    if error:
        fail(f"a connect would fail: {error}")
    click.echo("a connect would get as far as the password", err=True)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


class _Late(click.Group):
    """Loads its commands on first use."""

    def __init__(self, *args: Any, load: Callable[[], click.Group], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load = load

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._load().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._load().get_command(ctx, cmd_name)


def _sandbox_commands() -> click.Group:
    from service.sandbox.cli import sandbox

    return sandbox


def _client_commands() -> click.Group:
    from service.cli.client import client

    return client


@cli.group(cls=_Late, load=_sandbox_commands)
@click.pass_context
def sandbox(context: click.Context) -> None:
    """Change and break a running sandbox.

    That is the one that `serve --sandbox` runs on this machine.
    """
    context.obj = lambda: settings().sandbox_control_address


@cli.group(cls=_Late, load=_client_commands)
def client() -> None:
    """Call a service over gRPC, as its callers do.

    The API key comes from POSTCORE_API_KEY, from --api-key-file, or is asked for. Replies are JSON
    on standard output. A refusal is explained on standard error, and its kind is the exit code: 2
    input, 3 API key, 4 account, 5 not found, 6 a limit, 7 unavailable, 1 anything else.
    """


@cli.command()
def demo() -> None:
    """Serve a sandbox, with a key and a connected sample account.

    Shows the call that connects it, and how to make it from another terminal. What it keeps is in
    the folder `data` of the current one. Ctrl+C ends it. This is what `make run` runs.
    """
    from service.cli.demo import show
    from service.runtime import log

    log.configure("console", "info")
    log.log_uncaught()
    with operator_errors():
        try:
            sys.exit(show(dict(os.environ)))
        except ConfigError as error:
            fail(faults(error))
