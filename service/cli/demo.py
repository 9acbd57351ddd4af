"""The demonstration that `make run` starts: a sandbox, an API key, and a call with its reply."""

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Mapping
from types import FrameType

import click
import grpc.aio

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import profile_service_pb2_grpc
from service.app.sandbox import SANDBOX_PROFILE, SANDBOX_TENANT
from service.app.startup import create_api_key, open_store
from service.crypto.keyring import create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.model import DEFAULT_SCOPES
from service.runtime import children
from service.settings import PREFIX, Settings

KEY_NAME = "development"
LINK_SECONDS = 86_400
METHOD = "postcore.profiles.v1.ProfileService/ConnectProfile"
REQUEST = {
    "profileKey": SANDBOX_PROFILE,
    "platform": "bluesky",
    "credentials": {"handle": "user.bsky.social", "appPassword": "abcd-efgh-ijkl-mnop"},
}
DEFAULTS = {
    # its own database: a live one may be in the same folder
    "POSTCORE_DATABASE_URL": "sqlite:///data/sandbox.db",
    "POSTCORE_LOG_FORMAT": "console",
    # large: visitors connect again and again
    "POSTCORE_LOGIN_BUDGET": "1000,10000",
    "POSTCORE_CONNECT_LOGIN_BUDGET": "1000,10000",
    "POSTCORE_TENANT_LOGIN_BUDGET": "1000,10000",
}

ADDRESSES = ("grpc_address", "http_address", "sandbox_address", "sandbox_control_address")

PLAIN_TEXT = {
    # the sandbox serves this machine only, and the printed commands must work unchanged
    "POSTCORE_TLS_CERT_FILE": "",
    "POSTCORE_TLS_KEY_FILE": "",
    "POSTCORE_TLS_CLIENT_CA_FILE": "",
}


def show(environ: Mapping[str, str]) -> int:
    """Serve the sandbox until a stop signal, show one call, and return the exit code."""
    defaults = {name: environ.get(name) or DEFAULTS[name] for name in DEFAULTS}
    environ = {**environ, **_addresses(environ), **defaults, **PLAIN_TEXT}
    settings = Settings.read(environ)
    if not settings.keyring_file.exists():
        create_keyring(settings.keyring_file, new_keys("the demonstration"))
    stopping: list[int] = []
    server: subprocess.Popen[str] | None = None

    def forward(number: int, _: FrameType | None) -> None:
        stopping.append(number)
        if server is not None:
            server.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    server = subprocess.Popen(  # noqa: S603 - this same program
        children.command("from service.cli.entry import main; main()", "serve", "--sandbox"),
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    for early in stopping[:1]:  # received before the server was started
        server.send_signal(early)
    assert server.stdout is not None
    ready = server.stdout.readline().strip()
    if not ready.startswith("ready "):
        code = server.wait()
        return code if stopping else code or 1  # a start stopped by a signal is no failure
    addresses = dict(part.split("=") for part in ready.split()[1:])
    try:
        asyncio.run(_show_call(settings, addresses["grpc"], addresses["http"]))
    except BaseException as error:
        server.terminate()
        code = server.wait()
        if stopping and isinstance(error, grpc.aio.AioRpcError):
            return code  # a signal stopped the server before the call
        raise
    click.echo(f"\n{ready}")
    return server.wait()


def _addresses(environ: Mapping[str, str]) -> dict[str, str]:
    """Return addresses in place of the defaults, where *environ* names none.

    IPv6 ones if this machine has no IPv4 loopback. Any free port for probes and metrics: a
    developer's own Prometheus has the default.
    """
    admin = "POSTCORE_ADMIN_ADDRESS"
    if _is_available(socket.AF_INET, "127.0.0.1") or not _is_available(socket.AF_INET6, "::1"):
        return {} if environ.get(admin) else {admin: "127.0.0.1:0"}
    addresses = {admin: "[::1]:0"}
    for name in ADDRESSES:
        usual = Settings.model_fields[name].default
        addresses[f"{PREFIX}{name.upper()}"] = usual.replace("127.0.0.1", "[::1]")
    if environ.get("POSTCORE_SANDBOX_ADDRESS", "").endswith(":0"):
        del addresses["POSTCORE_SANDBOX_CONTROL_ADDRESS"]  # its default depends on the other
    return {name: address for name, address in addresses.items() if not environ.get(name)}


def _is_available(family: socket.AddressFamily, address: str) -> bool:
    try:
        with socket.socket(family) as listener:
            listener.bind((address, 0))
    except OSError:
        return False
    return True


async def _show_call(settings: Settings, address: str, http_address: str) -> None:
    key = await _fresh_key(settings)
    body = json.dumps(REQUEST, indent=2)
    click.echo(f"\n{METHOD}\n{body}\n")
    credentials = REQUEST["credentials"]
    assert isinstance(credentials, dict)
    options = [("grpc.enable_http_proxy", 0)]  # the server is on this machine
    async with grpc.aio.insecure_channel(address, options) as channel:
        reply = await profile_service_pb2_grpc.ProfileServiceStub(channel).ConnectProfile(
            pb.ConnectProfileRequest(
                profile_key=SANDBOX_PROFILE,
                platform="bluesky",
                credentials=pb.Credentials(
                    handle=credentials["handle"], app_password=credentials["appPassword"]
                ),
            ),
            metadata=(("x-api-key", key),),
            timeout=30,
        )
        link = await profile_service_pb2_grpc.ProfileServiceStub(channel).CreateConnectLink(
            pb.CreateConnectLinkRequest(
                platform="bluesky", app_name="The demonstration", expires_in=LINK_SECONDS
            ),
            metadata=(("x-api-key", key),),
            timeout=30,
        )
    answer = {
        "profileKey": reply.profile_key,
        "platform": reply.platform,
        "username": reply.username,
    }
    click.echo(f"→ {json.dumps(answer, indent=2)}\n")
    click.echo(f"""\
The same from another terminal:

export POSTCORE_API_KEY={key}

grpcurl -plaintext -emit-defaults -expand-headers -H 'x-api-key: ${{POSTCORE_API_KEY}}' -d @ \\
  {address} {METHOD} <<'END'
{body}
END

buf curl --protocol grpc --http2-prior-knowledge --emit-defaults -H @- -d @- \\
  http://{address}/{METHOD} <<END
x-api-key: $POSTCORE_API_KEY

{body}
END

curl -H 'content-type: application/json' -H @/dev/fd/3 -d @- 3<<<"x-api-key: $POSTCORE_API_KEY" \\
  http://{http_address}/profiles/connect <<'END'
{body}
END

All calls over HTTP: http://{http_address}/docs

A page where a person connects an account, by the same handle and app password:
{link.url}

Stop with Ctrl+C.""")


async def _fresh_key(settings: Settings) -> str:
    """Revoke the development keys of earlier runs, and return a new one."""
    async with open_store(settings) as store:
        for old in await store.api_keys.of_tenant(SANDBOX_TENANT):
            if old.name == KEY_NAME and old.revoked_at is None:
                await store.api_keys.revoke(old.key_id, SystemClock().now())
    key = await create_api_key(settings, SANDBOX_TENANT, KEY_NAME, DEFAULT_SCOPES)
    assert key is not None
    return key
