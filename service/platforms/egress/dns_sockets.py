"""DNS sockets: dnspython's backend for asyncio, but a cancelled query closes its socket.

If a query is cancelled while its socket is made, dnspython and uvloop leave the socket open. Only
the garbage collector closes it; until then, uvloop's `loop.close()` waits for it without end.
"""

import asyncio
import socket
from typing import Any

# private names: the lock file pins the version, and the tests fail if one is gone
from dns import _asyncio_backend

backend: Any = _asyncio_backend  # has no types


class CancellableBackend(backend.Backend):  # type: ignore[misc]
    """Makes the sockets of queries."""

    async def make_socket(
        self,
        af: int,
        socktype: int,
        proto: int = 0,
        source: Any = None,
        destination: Any = None,
        *more: Any,
        **named: Any,
    ) -> Any:
        if socktype != socket.SOCK_DGRAM:
            return await super().make_socket(
                af, socktype, proto, source, destination, *more, **named
            )
        protocol = _Protocol()
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: protocol,
                family=af,
                proto=proto,
                local_addr=source,
                remote_addr=destination,
            )
        except BaseException:
            protocol.abandon()
            raise
        return backend._DatagramSocket(af, transport, protocol)


class _Protocol(backend._DatagramProtocol):  # type: ignore[misc]
    """A protocol that can be abandoned before it is connected."""

    _is_abandoned = False

    def abandon(self) -> None:
        """Close the transport now, or as soon as there is one."""
        self._is_abandoned = True
        self.close()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._is_abandoned:
            self.close()
