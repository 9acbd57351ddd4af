"""Listening: binds the socket on which a server accepts connections."""

import asyncio
import socket


class PortTaken(Exception):
    """The server cannot listen on the address."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"cannot listen on {address}; is the port taken? "
            "POSTCORE_GRPC_ADDRESS, POSTCORE_HTTP_ADDRESS and POSTCORE_ADMIN_ADDRESS name others"
        )


async def listen(address: str) -> socket.socket:
    """Return a socket bound to *address* (HOST:PORT, port 0: any). Raise PortTaken."""
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        raise PortTaken(address) from None
    family, kind, protocol, _, place = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # inherited by accepted connections; without it a response may wait 40 ms for an ACK
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(place)
    except OSError:
        listener.close()
        raise PortTaken(address) from None
    return listener
