"""The servers: all that take calls, started one by one and stopped together."""

import asyncio
from typing import Protocol

from service.transport.admission import Admission


class Server(Protocol):
    """Takes calls on an address."""

    async def start(self, address: str) -> int:
        """Take calls on *address* (HOST:PORT, port 0: any); returns the port. Raises PortTaken."""

    async def tell_to_go_elsewhere(self) -> None:
        """Say so to health checks; calls are still taken."""

    async def stop(self, grace: float) -> None:
        """End, once the calls under way have ended or *grace* seconds are over; also where it
        has not begun."""


async def start(server: Server, address: str) -> str:
    """The address that *server* can be reached at, once it takes calls on *address*."""
    return f"{address.rpartition(':')[0]}:{await server.start(address)}"


async def stop(
    servers: tuple[Server, ...], admission: Admission, pause: float, grace: float
) -> None:
    """Health checks are told first; after *pause* seconds no more calls are taken, streams end,
    and calls under way have *grace* seconds to do so."""
    for server in servers:
        await server.tell_to_go_elsewhere()
    await asyncio.sleep(pause)
    admission.close()  # by themselves they would go on for all of the grace
    await asyncio.gather(*(server.stop(grace) for server in servers))
