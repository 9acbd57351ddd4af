"""The command `postcore`: values alone and last on standard output, all else on standard error."""

import gc
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import structlog

from service import __version__
from service.cli.console import (
    fail,
    faults,
    run,
    settings,
    text,
    time_of,
    told,
    until_stop_signal,
)
from service.cli.keyring import keyring
from service.cli.tenants import api_keys, tenants
from service.runtime import core_dumps, standard_streams
from service.settings import ConfigError

LEASES_AT_ONCE = 1_000
HEALTH_SECONDS = 3.0
HEALTH_RETRIES = """
{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.3s",
"maxBackoff": "0.6s", "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
"""
"""A server whose connections are all taken closes a new one, and makes room at once."""


def main() -> None:
    """Run the command; a fault that an operator can mend is one sentence and exit code 1."""
    core_dumps.turn_off()
    # what grpc's core has to say would stand between the lines of the log
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    cli(prog_name="postcore")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Connects people's social accounts by credentials, starting with Bluesky.

    Settings come from the environment, all named POSTCORE_…; `config check` tells what is wrong
    with them.
    """


@cli.command()
@click.option("--sandbox", is_flag=True, help="Serve against a stand-in for Bluesky, on loopback.")
def serve(sandbox: bool) -> None:
    """Take calls until SIGTERM, SIGINT or SIGHUP, then drain.

    Prints one line when it takes calls: ready grpc=HOST:PORT http=HOST:PORT

    A signal during the start ends it at once. A second one during the drain has no effect: the
    drain ends after POSTCORE_DRAIN_SECONDS at most.
    """
    read = settings()
    # loaded before the event loop runs: in the loop, the half second would delay a signal
    from service.app.build import serving

    async def work() -> None:
        async with serving(read, sandbox=sandbox) as running:
            _print_ready(f"ready grpc={running.grpc} http={running.http}")
            running.warm.add_done_callback(_settle)
            await until_stop_signal()

    run(work())


def _print_ready(line: str) -> None:
    """Print *line*; where the reader of standard output is gone, the service goes on without."""
    try:
        click.echo(line)
    except OSError as error:
        standard_streams.discard(sys.stdout)
        structlog.get_logger().warning("ready line not written", exception=type(error).__name__)


def _settle(_: object) -> None:
    """Exempt what has been loaded from garbage collection: a full collection stops all calls for
    50 ms."""
    gc.collect()
    gc.freeze()


@cli.command()
def migrate() -> None:
    """Bring the database's schema up to date."""

    async def work() -> None:
        from service.app.startup import open_store

        async with open_store(settings()):
            pass

    run(work())
    click.echo("the schema is up to date", err=True)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Write a consistent copy of the database to PATH, which must not exist; without the keyring.

    The server may run meanwhile.
    """
    from service.storage.backup import back_up

    with told():
        back_up(settings().database_url, path)
    click.echo(f"copied the database to {path}; the keyring is not in it", err=True)


def _since(_: click.Context, __: click.Parameter, value: str | None) -> int:
    if value is None:
        return 0
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("must be a time in ISO 8601, such as 2026-01-31T12:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    # in whole numbers: a float would round microseconds
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@cli.command("leases")
@click.option("--tenant", required=True, callback=text, help="The tenant's id.")
@click.option("--since", callback=_since, help="From that time on, in UTC if no zone is named.")
def list_leases(tenant: str, since: int) -> None:
    """List the leases of a tenant's sessions, oldest first: when, to which key, of which profile,
    its platform and account, and when the token ends.

    They are kept for POSTCORE_LEASE_AUDIT_DAYS; a server writes them down within a second.
    """
    from service.app.startup import open_store

    async def work() -> None:
        after = since
        async with open_store(settings()) as store:
            while some := await store.lease_audit.leases(tenant, after, LEASES_AT_ONCE):
                for lease in some:
                    click.echo(
                        f"{time_of(lease.at)}\t{lease.key_id}\t{lease.profile_key}\t{lease.platform}"
                        f"\t{lease.account_id}\t{time_of(lease.expires_at)}"
                    )
                after = some[-1].at + 1

    run(work())


for group in (tenants, api_keys, keyring):
    cli.add_command(group)


@cli.group()
def config() -> None:
    """The settings."""


@config.command("check")
def check_config() -> None:
    """Tell every fault of the settings at once, or the settings in force, secrets masked."""
    from service.app.startup import certificates

    read = settings()
    with told():
        certificates(read)
    for name, value in read:
        secret = name == "database_url" and (read.is_postgres or "@" in str(value))
        shown = "set" if secret else _shown(value)
        click.echo(f"POSTCORE_{name.upper()}={shown}", err=True)
    click.echo("ok")


@cli.command()
def healthcheck() -> None:
    """Ask the server at POSTCORE_GRPC_ADDRESS whether it takes calls; exit code 0 if so.

    With TLS, it has to be the one of POSTCORE_TLS_CERT_FILE. Where callers have to show a
    certificate, that one is shown.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    read = settings()
    # a proxy for the way out has no part in this
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config", HEALTH_RETRIES),
        ("grpc.initial_reconnect_backoff_ms", 200),
    ]
    certified = None
    if read.tls_cert_file is not None:
        from service.app.startup import certificates

        with told():
            certified = certificates(read)
    if certified is None:
        channel = grpc.insecure_channel(read.grpc_address, options)
    else:
        credentials, name = certified.grpc_client()
        options.append(("grpc.ssl_target_name_override", name))
        channel = grpc.secure_channel(read.grpc_address, credentials, options)
    with channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS
            )
        except grpc.RpcError as error:
            fail(f"no answer: {error.code().name}")
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
    click.echo(name)
    if name != "SERVING":
        sys.exit(1)


@cli.command()
@click.argument("handle", callback=text)
@click.option("--sandbox", is_flag=True, help="At the sandbox that `serve --sandbox` runs here.")
def doctor(handle: str, sandbox: bool) -> None:
    """Show each step from a Bluesky HANDLE to its account's server, as a connect goes them.

    Each line has the step, whether it is fit for a connect (`ok` or `failed`; `-` where that step
    alone does not decide), the milliseconds it took, and what was seen. No login is spent. The exit
    code is 1 where a connect would fail.
    """
    from service.app.diagnosis import diagnose

    read = settings()
    refusal = run(diagnose(read, handle, click.echo, sandbox=sandbox))
    if refusal:
        fail(f"a connect would fail: {refusal}")
    click.echo("a connect would get as far as the password", err=True)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


class _Sandbox(click.Group):
    """Its commands are loaded when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from service.sandbox.cli import sandbox

        return sandbox.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from service.sandbox.cli import sandbox

        return sandbox.get_command(ctx, cmd_name)


@cli.group(cls=_Sandbox)
@click.pass_context
def sandbox(context: click.Context) -> None:
    """Change and break the sandbox that `serve --sandbox` runs on this machine."""
    context.obj = lambda: settings().sandbox_control_address


@cli.command()
def demo() -> None:
    """Serve a sandbox, with a key and a connected sample account.

    Shows the call that connects it, and how to make it from another terminal. What it keeps is in
    the folder `data` of the current one. Ctrl+C ends it. This is what `make run` runs.
    """
    from service.cli.demo import show
    from service.runtime import log

    log.configure("console", "info")
    log.tell_uncaught()
    with told():
        try:
            sys.exit(show(dict(os.environ)))
        except ConfigError as error:
            fail(faults(error))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
