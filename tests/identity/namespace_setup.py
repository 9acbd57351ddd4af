"""Set up new namespaces: addresses, and an /etc of their own.

The machine is not changed: both exist in the namespaces alone, and end with them.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.identity.places import ALL, NAME_SERVER, SILENT_NAME_SERVER

RESOLV_CONF = Path("/etc/resolv.conf")
ROUTE_SECONDS = 20.0
"""For a busy machine; it takes a moment by itself."""


def set_up(folder: Path, *, late: bool = False) -> None:
    """Make the addresses and the /etc of these namespaces; *folder* is an empty one for it.

    With *late*, the network stays down until `bring_up`.
    """
    own_etc(folder)
    name_servers(NAME_SERVER)
    if not late:
        bring_up()


def bring_up() -> None:
    """Bring up the loopback device, with all addresses on it."""
    commands = ["link set lo up"]
    for address in ALL:
        if address not in ("127.0.0.1", "::1"):
            # without nodad, an IPv6 address cannot be used before a second is over
            kind = "/128 dev lo nodad" if ":" in address else "/32 dev lo"
            commands.append(f"address add {address}{kind}")
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    # the kernel adds the route of an IPv6 address some time after the address
    until = time.monotonic() + ROUTE_SECONDS
    while not all(map(_has_route, ALL)):
        assert time.monotonic() < until, "an address has no route"
        time.sleep(0.01)


def _has_route(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as unsent:
        return unsent.connect_ex((address, 9)) == 0


def name_servers(*addresses: str) -> None:
    """Rewrite /etc/resolv.conf in place."""
    RESOLV_CONF.write_text("".join(f"nameserver {address}\n" for address in addresses))


@contextmanager
def silent_name_server() -> Iterator[None]:
    """One that takes questions and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((SILENT_NAME_SERVER, 53))
        yield


def own_etc(folder: Path) -> None:
    """Put a folder of links to the machine's files in the place of /etc, but for three of them."""
    machine, own = folder / "machine-etc", folder / "etc"
    machine.mkdir()
    own.mkdir()
    # with what is mounted in it: a user namespace may not show what lies under a mount
    subprocess.run(["mount", "--rbind", "/etc", str(machine)], check=True)
    for name in os.listdir(machine):
        if name not in ("resolv.conf", "hosts", "nsswitch.conf"):
            (own / name).symlink_to(machine / name)
    (own / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (own / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    subprocess.run(["mount", "--bind", str(own), "/etc"], check=True)
