"""World: a started `serve --sandbox` with all that the examples' checks ask for."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.profile_service_pb2_grpc import ProfileServiceStub
from service.app.sandbox import SANDBOX_TENANT
from service.cli.demo import DEFAULTS
from service.sandbox.remote import Remote
from service.settings import PREFIX
from tests.cli.home import Home, Started

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
        broken = asyncio.run(_broken(server.address, key, remote))
        yield World(
            server,
            {
                "POSTCORE_GRPC_ADDRESS": server.address,
                "POSTCORE_API_KEY": key,
                "POSTCORE_BROKEN_PROFILE": broken,
            },
        )


async def _broken(address: str, key: str, remote: Remote) -> str:
    """Connect a WordPress site, switch its application passwords off, and check it."""
    [site] = [
        each for each in remote.ask("GET", "sites")["sites"] if each["platform"] == "wordpress"
    ]
    metadata = (("x-api-key", key),)
    given = {
        re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", name): value
        for name, value in site["credentials"].items()
    }
    async with grpc.aio.insecure_channel(address) as channel:
        profiles = ProfileServiceStub(channel)
        request = pb.ConnectProfileRequest(platform="wordpress", credentials=given)
        made = await profiles.ConnectProfile(request, metadata=metadata, timeout=30)
        remote.ask("POST", "sites", "wordpress", "switch-off")
        verify = pb.VerifyConnectionRequest(profile_key=made.profile_key, platform="wordpress")
        verified = await profiles.VerifyConnection(verify, metadata=metadata, timeout=30)
    assert verified.connection.reconnect_reason == SWITCHED_OFF, verified
    return str(made.profile_key)
