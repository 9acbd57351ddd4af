"""World: a started `serve --sandbox` with all that the examples' checks ask for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from service.app.sandbox import SANDBOX_TENANT
from service.cli.demo import DEFAULTS
from service.sandbox.remote import Remote
from service.settings import PREFIX
from tests.cli.home import Home, Started

SCOPES = ("profiles:read", "profiles:write", "sessions:lease")
BUSY = {"kind": "rate-limit", "method": "createSession", "account": "alice.test"}
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
        broken = _broken(server.http, key, remote)
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

    Over HTTP: a blocking gRPC call here would disturb tests of this process that use grpc.aio.
    """
    sites = remote.ask("GET", "sites")["sites"]
    [site] = [each for each in sites if each["platform"] == "wordpress"]
    with httpx.Client(
        base_url=f"http://{address}", headers={"x-api-key": key}, timeout=60, trust_env=False
    ) as http:
        request = {"platform": "wordpress", "credentials": site["credentials"]}
        made = http.post("/profiles/connect", json=request).raise_for_status().json()
        remote.ask("POST", "sites", "wordpress", "switch-off")
        path = f"/profiles/{made['profileKey']}/platforms/wordpress/verify"
        verified = http.post(path, json={}).raise_for_status().json()
    assert "CREDENTIALS_SWITCHED_OFF" in str(verified), verified
    return str(made["profileKey"])
