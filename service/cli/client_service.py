"""Service: the service that `postcore client` calls, and the options that say where it is."""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
import grpc
import grpc.aio
from google.protobuf.message import Message

from postcore.profiles.v1 import (
    platform_service_pb2_grpc,
    profile_service_pb2_grpc,
    session_service_pb2_grpc,
)
from service.cli.client_failure import Failure, Kind, failure
from service.cli.console import run_until_stopped

SERVICE_CONFIG = Path(profile_service_pb2_grpc.__file__).with_name("service_config.json")
LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:", "unix:")
MAX_REQUEST_BYTES = 64 * 1024
MAX_KEY_BYTES = 1024

T = TypeVar("T")
Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)


class Stubs:
    """The contract's services on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.profiles = profile_service_pb2_grpc.ProfileServiceStub(channel)
        self.platforms = platform_service_pb2_grpc.PlatformServiceStub(channel)
        self.sessions = session_service_pb2_grpc.SessionServiceStub(channel)


@dataclass(frozen=True)
class Service:
    """Where the service is, and how to call it. *seconds*: the deadline of a unary call."""

    address: str
    credentials: grpc.ChannelCredentials | None = field(repr=False)
    """None: plain text."""
    api_key: str = field(repr=False)
    seconds: float | None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", self.api_key),)

    def call(
        self,
        method: "Callable[[Stubs], grpc.aio.UnaryUnaryMultiCallable[Request, Reply]]",
        request: Request,
    ) -> Reply:
        """Return the reply to one call; raise Failure."""
        return self.run(lambda stubs: self.answer(method(stubs), request))

    async def answer(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[Request, Reply]", request: Request
    ) -> Reply:
        """Return the reply to a call of `run`."""
        if request.ByteSize() > MAX_REQUEST_BYTES:  # grpc would refuse it as it does a full server
            raise Failure(Kind.INPUT, f"the request is larger than {MAX_REQUEST_BYTES} bytes")
        return await method(request, metadata=self.metadata, timeout=self.seconds)

    def run(self, work: Callable[[Stubs], Awaitable[T]]) -> T:
        """Run *work* on a channel of its own, until a stop signal; raise Failure."""

        async def connected() -> T:
            async with self._channel() as channel:
                return await work(Stubs(channel))

        try:
            return run_until_stopped(connected())
        except grpc.aio.AioRpcError as error:
            refused = failure(error)
        raise refused

    def _channel(self) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [("grpc.service_config", SERVICE_CONFIG.read_text())]
        if self.credentials:
            return grpc.aio.secure_channel(self.address, self.credentials, options)
        # a proxy could read the key
        options.append(("grpc.enable_http_proxy", 0))
        return grpc.aio.insecure_channel(self.address, options)


OPTIONS = (
    click.option(
        "--address",
        envvar="POSTCORE_GRPC_ADDRESS",
        default="127.0.0.1:50051",
        show_default=True,
        show_envvar=True,
        help="Where the service takes gRPC calls.",
    ),
    click.option(
        "--tls/--plaintext",
        default=None,
        help="Default: TLS, except to this machine. Plain text shows the key to the network.",
    ),
    click.option("--ca-file", type=click.File("rb"), help="Trust these certificates only, PEM."),
    click.option("--cert-file", type=click.File("rb"), help="Present this certificate, PEM."),
    click.option("--key-file", type=click.File("rb"), help="Its private key, PEM."),
    click.option("--api-key-file", type=click.File("rb"), help="Where the API key is."),
)


def calls(seconds: float | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of all calls, and the Service that they lead to.

    *seconds*: the default deadline of each call; None for a stream, which has none.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(
            address: str,
            tls: bool | None,
            ca_file: BinaryIO | None,
            cert_file: BinaryIO | None,
            key_file: BinaryIO | None,
            api_key_file: BinaryIO | None,
            timeout: float | None = None,
            **given: Any,
        ) -> None:
            credentials = _credentials(address, tls, ca_file, cert_file, key_file)
            command(Service(address, credentials, _api_key(api_key_file), timeout), **given)

        wrapped: Callable[..., None] = run
        if seconds is not None:
            wrapped = click.option(
                "--timeout",
                type=click.FloatRange(0.001, 60),
                default=seconds,
                show_default=True,
                help="The deadline of each call, in seconds.",
            )(wrapped)
        for option in reversed(OPTIONS):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def _credentials(
    address: str,
    tls: bool | None,
    ca_file: BinaryIO | None,
    cert_file: BinaryIO | None,
    key_file: BinaryIO | None,
) -> grpc.ChannelCredentials | None:
    files = (ca_file, cert_file, key_file)
    if tls is None:
        tls = any(files) or not address.startswith(LOOPBACK)
    if not tls:
        if any(files):
            raise click.UsageError("--plaintext uses no certificates")
        return None
    if bool(cert_file) != bool(key_file):
        raise click.UsageError("--cert-file and --key-file belong together")
    root, chain, key = (file.read() if file else None for file in files)
    return grpc.ssl_channel_credentials(root, key, chain)


def _api_key(file: BinaryIO | None) -> str:
    """Return the API key of *file*, else of the environment, else ask for it without echo."""
    if file is not None:
        key = file.read(MAX_KEY_BYTES + 1).decode("ascii", "replace").strip()
    else:
        key = os.environ.get("POSTCORE_API_KEY", "")
        if not key and sys.stdin is not None and sys.stdin.isatty():
            key = click.prompt("API key", hide_input=True, err=True)
        if not key:
            raise click.UsageError(
                "there is no API key: set POSTCORE_API_KEY, or give --api-key-file"
            )
    if not (key.isascii() and key.isprintable() and len(key) <= MAX_KEY_BYTES) or " " in key:
        raise Failure(Kind.API_KEY, "the API key is not one: it must be printable ASCII")
    return key
