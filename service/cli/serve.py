"""The commands `postcore serve` and `postcore healthcheck`."""

import gc
import sys

import click
import structlog

from service.cli.console import fail, operator_errors, run, settings, until_stop_signal
from service.runtime import standard_streams

HEALTH_TIMEOUT_SECONDS = 3.0
HEALTH_RETRIES = """
{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.3s",
"maxBackoff": "0.6s", "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
"""
"""A server at its connection limit closes a new connection, and frees a place for the next."""


@click.command()
@click.option("--sandbox", is_flag=True, help="Serve stand-ins for the platforms too, on loopback.")
def serve(sandbox: bool) -> None:
    """Take calls until SIGTERM, SIGINT or SIGHUP, then drain.

    Prints one line when it takes calls: ready grpc=HOST:PORT http=HOST:PORT admin=HOST:PORT

    A signal during the start ends it at once. A second one during the drain has no effect: the
    drain ends after POSTCORE_DRAIN_SECONDS at most.
    """
    read = settings()
    # loaded before the event loop runs: in the loop, the half second would delay a signal
    from service.app.serving import serving

    async def work() -> None:
        async with serving(read, sandbox=sandbox) as running:
            admin = f" admin={running.admin}" if running.admin else ""
            _print_ready(f"ready grpc={running.grpc} http={running.http}{admin}")
            running.warm.add_done_callback(_freeze_garbage_collection)
            await until_stop_signal()

    run(work())


def _print_ready(line: str) -> None:
    """Print *line*; the service continues if the reader of standard output has gone."""
    try:
        click.echo(line)
    except OSError as error:
        standard_streams.discard(sys.stdout)
        structlog.get_logger().warning("ready line not written", exception=type(error).__name__)


def _freeze_garbage_collection(_: object) -> None:
    """Exempt all loaded objects from garbage collection: a full one stops all calls for 50 ms."""
    gc.collect()
    gc.freeze()


@click.command()
def healthcheck() -> None:
    """Ask the server whether it takes calls.

    Asks the one at POSTCORE_GRPC_ADDRESS; the exit code is 0 if it takes calls. With TLS, the
    server must present the certificate in POSTCORE_TLS_CERT_FILE. Where callers must present a
    certificate, this command presents the same one.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    read = settings()
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_http_proxy", 0),  # proxies are for outbound calls
        ("grpc.service_config", HEALTH_RETRIES),
        ("grpc.initial_reconnect_backoff_ms", 200),
    ]
    certified = None
    if read.tls_cert_file is not None:
        from service.app.startup import certificates

        with operator_errors():
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
                health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_SECONDS
            )
        except grpc.RpcError as error:
            fail(f"no answer: {error.code().name}")
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
    click.echo(name)
    if name != "SERVING":
        sys.exit(1)
