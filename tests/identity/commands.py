"""Commands: `serve` and `doctor` as a user starts them, in the namespaces.

    python -m tests.identity.commands FOLDER

FOLDER is an empty folder. It prints what each command did as JSON. The machine's name server is
silent when the server starts, and is replaced while it serves.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc

from postcore.profiles.v1 import profile_service_pb2 as profiles
from tests.cli.calls import call
from tests.cli.home import Home
from tests.identity import namespace_setup
from tests.identity.namespace_setup import name_servers, silent_name_server
from tests.identity.network import Network
from tests.identity.places import DIRECTORY, NAME_SERVER, SILENT, SILENT_NAME_SERVER
from tests.identity.situation import Names, Situation, document, mine, service
from tests.platforms.bluesky_login import ACCESS, CREATE, PASSWORD, REFRESH
from tests.platforms.dns_server import SERVFAIL
from tests.platforms.raw import respond
from tests.support.running import refusal_of

DESCRIBE = "/xrpc/com.atproto.server.describeServer"
STANDING = "/xrpc/com.atproto.sync.getRepoStatus"
NOTICED_SECONDS = 5.0


@dataclass(frozen=True)
class Case:
    """An account whose server is at *addresses* and answers *status* to all that it is asked."""

    endpoint: str = "https://$host"
    addresses: tuple[Any, ...] = ("20.0.0.1",)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    expired: bool = False
    txt: tuple[Any, ...] = (mine(),)


CASES = {
    "good": Case(),
    "DNS_FAILURE": Case(txt=(SERVFAIL,)),
    "SERVER_UNREACHABLE": Case(addresses=("20.0.0.90",)),
    "TLS_FAILURE": Case(expired=True),
    "ADDRESS_NOT_ALLOWED": Case(addresses=("10.0.0.1",)),
    "ADDRESS_NOT_ALLOWED (http)": Case(endpoint="http://$host"),
    "UNEXPECTED_ANSWER": Case(
        status=307, headers={"location": "https://elsewhere.situations.net/"}
    ),
    "SERVER_ERROR": Case(status=502),
    "TIMEOUT": Case(addresses=(SILENT[0],)),
}


async def main(folder: Path) -> None:
    namespace_setup.set_up(folder)
    home = Home(folder / "home")
    home.folder.mkdir()
    async with Network.started(folder) as network:
        ways = {
            "PLC_URL": f"https://{DIRECTORY}",
            "EGRESS_CA_FILE": str(network.authority.roots),
            "EGRESS_PROXY_CA_FILE": str(network.authority.roots),
        }
        report = await asyncio.to_thread(_report, home, network, ways, asyncio.get_running_loop())
    sys.stdout.write(f"{json.dumps(report)}\n")


def _report(
    home: Home, network: Network, ways: dict[str, str], loop: asyncio.AbstractEventLoop
) -> dict[str, Any]:
    assert home.run("keyring", "init").code == 0
    tenant = home.value("tenants", "create", "test")
    key = home.value("api-keys", "create", "--tenant", tenant)
    handles = {
        case: asyncio.run_coroutine_threadsafe(_arranged(network, number, case), loop).result()
        for number, case in enumerate(CASES)
    }
    name_servers(SILENT_NAME_SERVER)
    with silent_name_server(), home.serve(**ways) as server:
        before = _connected(server.address, key, handles["good"])
        name_servers(NAME_SERVER)
        changed = time.monotonic()
        while (after := _connected(server.address, key, handles["good"])) != "connected":
            assert time.monotonic() - changed < NOTICED_SECONDS, after
            time.sleep(0.2)
        noticed = time.monotonic() - changed
        connects = {case: _connected(server.address, key, handles[case]) for case in CASES}
    doctors = {}
    for case, handle in handles.items():
        ran = home.run("doctor", handle, **ways)
        doctors[case] = {"code": ran.code, "out": ran.out, "err": ran.err}
    logins = {
        case: sum(
            request.path == CREATE and request.host == f"server{number}.situations.net"
            for request in network.webs[0].requests
        )
        for number, case in enumerate(CASES)
    }
    return {
        "before": before,
        "noticed": noticed,
        "connects": connects,
        "doctors": doctors,
        "logins": logins,
    }


async def _arranged(network: Network, number: int, name: str) -> str:
    """The handle of an account as *name* says."""
    case, host = CASES[name], f"server{number}.situations.net"
    names = Names.of("c", number, "")
    endpoint = case.endpoint.replace("$host", host)
    situation = Situation(
        name,
        "",
        "",
        txt=case.txt,
        document=document(service=[service(serviceEndpoint=endpoint)]),
        addresses={host: case.addresses, names.handle: (SERVFAIL, SERVFAIL)},
    )
    network.arrange(situation, names)
    if case.expired:
        network.authority.expired.add(host)
    opened = {"accessJwt": ACCESS, "refreshJwt": REFRESH, "did": names.did, "active": True}
    bodies = {CREATE: opened, STANDING: {"did": names.did, "active": True}, DESCRIBE: {"did": host}}
    for path, body in bodies.items():
        page = respond(body, case.status, **dict(case.headers))
        for web in network.webs:
            web.on(f"{host}{path}", page)
    return names.handle


def _connected(address: str, key: str, handle: str) -> str:
    """`connected`, or the reason, cause and step of the refusal."""
    credentials = profiles.Credentials(handle=handle, app_password=PASSWORD)
    try:
        call(
            address,
            "/postcore.profiles.v1.ProfileService/ConnectProfile",
            profiles.ConnectProfileRequest(platform="bluesky", credentials=credentials),
            profiles.ConnectProfileResponse,
            key,
        )
    except grpc.RpcError as error:
        refusal = refusal_of(cast("grpc.aio.AioRpcError", error))
        said = [refusal.metadata.get(name, "") for name in ("cause", "step")]
        return " ".join([refusal.reason, *filter(None, said)])
    return "connected"


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
