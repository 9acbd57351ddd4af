"""Servers: started one by one and stopped together."""

import asyncio
from typing import Protocol

from service.transport.admission import Admission


class Server(Protocol):
    """Accepts calls on an address."""

    async def start(self, address: str) -> int:
        """Accept calls on *address* (HOST:PORT, port 0: any); return the port. Raise PortTaken."""

    def set_serving(self, serving: bool) -> None:
        """Answer health checks with *serving* from now on; calls are accepted either way."""

    async def stop(self, grace: float) -> None:
        """Stop when the calls in progress have ended, after *grace* seconds at the latest. No-op
        before `start`."""


async def start(server: Server, address: str) -> str:
    """Start *server* on *address* and return the address with the actual port."""
    return f"{address.rpartition(':')[0]}:{await server.start(address)}"


async def stop(
    servers: tuple[Server, ...], admission: Admission, pause: float, grace: float
) -> None:
    """Drain and stop *servers*.

    Health checks fail at once. After *pause* seconds streams end, no call is accepted any more, and
    calls in progress have *grace* seconds to finish.
    """
    for server in servers:
        server.set_serving(False)
    await asyncio.sleep(pause)
    admission.close()  # streams would otherwise last for the whole grace period
    await asyncio.gather(*(server.stop(grace) for server in servers))
