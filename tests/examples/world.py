"""World: a started `serve --sandbox` with all that the examples' checks ask for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.sandbox import SANDBOX_TENANT
from service.cli.demo import DEFAULTS
from service.sandbox.remote import Remote
from service.settings import PREFIX
from tests.cli.home import Home, Started

SERVICE = "/postcore.profiles.v1.ProfileService"
SCOPES = ("profiles:read", "profiles:write", "sessions:lease")
BUSY = {"kind": "rate-limit", "method": "createSession", "account": "alice.test"}
SWITCHED_OFF = profile_pb2.RECONNECT_REASON_CREDENTIALS_SWITCHED_OFF
BUDGETS = {name.removeprefix(PREFIX): value for name, value in DEFAULTS.items() if "BUDGET" in name}


@dataclass(frozen=True)
class World:
    """A server, an API key, and a profile whose WordPress connection is broken."""

    server: Started
    environ: dict[str, str]

    @property
    def address(self) -> str:
        return self.environ["POSTCORE_GRPC_ADDRESS"]


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start it in *folder*, on free ports; an account that the sandbox limits is in it too."""
    home = Home(folder)
    home.run("keyring", "init")
    with home.serve("--sandbox", LOG_FORMAT="json", **BUDGETS) as server:
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        key = home.value("api-keys", "create", "--tenant", SANDBOX_TENANT, *scopes)
        [control] = re.findall(r'"control": ?"([^"]+)"', server.errors)
        remote = Remote(control)
        remote.ask("POST", "faults", **BUSY)
        broken = _broken(server.address, key, remote)
        yield World(
            server,
            {
                "POSTCORE_GRPC_ADDRESS": server.address,
                "POSTCORE_API_KEY": key,
                "POSTCORE_BROKEN_PROFILE": broken,
            },
        )


def _broken(address: str, key: str, remote: Remote) -> str:
    """Connect a WordPress site, switch its application passwords off, and check it.

    Not by grpc.aio, of which an event loop may run in another thread.
    """
    sites = remote.ask("GET", "sites")["sites"]
    [site] = [each for each in sites if each["platform"] == "wordpress"]
    credentials = {
        re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", name): value
        for name, value in site["credentials"].items()
    }
    connect = pb.ConnectProfileRequest(platform="wordpress", credentials=credentials)
    metadata = (("x-api-key", key),)
    with grpc.insecure_channel(address) as channel:
        connecting: grpc.UnaryUnaryMultiCallable[
            pb.ConnectProfileRequest, pb.ConnectProfileResponse
        ] = channel.unary_unary(
            f"{SERVICE}/ConnectProfile",
            pb.ConnectProfileRequest.SerializeToString,
            pb.ConnectProfileResponse.FromString,
        )
        verifying: grpc.UnaryUnaryMultiCallable[
            pb.VerifyConnectionRequest, pb.VerifyConnectionResponse
        ] = channel.unary_unary(
            f"{SERVICE}/VerifyConnection",
            pb.VerifyConnectionRequest.SerializeToString,
            pb.VerifyConnectionResponse.FromString,
        )
        made = connecting(connect, metadata=metadata, timeout=30)
        remote.ask("POST", "sites", "wordpress", "switch-off")
        verify = pb.VerifyConnectionRequest(profile_key=made.profile_key, platform="wordpress")
        verified = verifying(verify, metadata=metadata, timeout=30)
    assert verified.connection.reconnect_reason == SWITCHED_OFF, verified
    return str(made.profile_key)
