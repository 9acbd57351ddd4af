"""Connections of the gRPC port: caps their number, and closes unused ones first.

grpc accepts connections itself and offers no way to close one. So this module finds the port's
connections among the descriptors of the process, and shuts down their sockets. To grpc it looks as
if the client had closed them.
"""

import asyncio
import os
import socket
from collections import Counter, OrderedDict
from collections.abc import Iterator
from time import monotonic
from urllib.parse import unquote

from service.runtime.log import Occasional

DESCRIPTORS = "/dev/fd"
POLL_SECONDS = 0.2
IN_USE_SECONDS = 60.0
"""How long a connection counts as used after a call with a valid key; covers any unary call."""
HIGH_WATER, LOW_WATER = 0.9, 0.75
"""Fractions of the limit: at the first, connections are closed down to the second."""
MAX_PEERS = 10_000

closure_log = Occasional()
Peer = tuple[str, int]


class Connections:
    """The connections to a port, about *limit* at most. Connections in use are never closed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._port = 0
        self._streams: Counter[str] = Counter()
        self._used: OrderedDict[str, float] = OrderedDict()
        self._seen: dict[Peer, float] = {}
        self._known: dict[int, tuple[int, Peer | None]] = {}
        """By descriptor: its inode, and the peer if it is a connection to the port."""

    def note(self, peer: str, streams: int) -> None:
        """Record a call with a valid key by *peer*, in grpc's spelling, and add *streams* to its
        open streams."""
        if streams:
            self._streams[peer] += streams
            if not self._streams[peer]:
                del self._streams[peer]
        self._used[peer] = monotonic()
        self._used.move_to_end(peer)
        if len(self._used) > MAX_PEERS:
            self._used.popitem(last=False)

    async def run(self, port: int) -> None:
        """Keep the connections to *port* below the limit, until cancelled."""
        self._port = port
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self.trim()

    def trim(self) -> int:
        """Close unused connections if there are too many; return how many were closed."""
        try:
            names = os.listdir(DESCRIPTORS)
        except OSError:
            return 0  # no free descriptor, or the system does not list them
        if len(names) < HIGH_WATER * self._limit:
            self._seen.clear()
            self._known.clear()
            return 0
        now = monotonic()
        self._known = dict(self._scan(names))
        found = {peer: number for number, (_, peer) in self._known.items() if peer is not None}
        self._seen = {peer: self._seen.get(peer, now) for peer in found}
        over = len(found) - int(LOW_WATER * self._limit)
        if len(found) < HIGH_WATER * self._limit:
            return 0
        used = {_parse_peer(name): at for name, at in self._used.items()}
        held = {_parse_peer(name) for name in self._streams}
        idle = [
            peer
            for peer in found
            if peer not in held and now - used.get(peer, -IN_USE_SECONDS) >= IN_USE_SECONDS
        ]
        idle.sort(key=lambda peer: self._seen[peer])
        closed = sum(_shut_down(found[peer], peer) for peer in idle[:over])
        closure_log.warning("gRPC connections closed at the limit", closed=closed, of=len(found))
        return closed

    def _scan(self, names: list[str]) -> Iterator[tuple[int, tuple[int, Peer | None]]]:
        for number in map(int, names):
            try:
                inode = os.fstat(number).st_ino
            except OSError:
                continue  # closed in the meantime
            known = self._known.get(number)
            # a socket keeps its inode; reading its addresses again would cost ten times as much
            same = known is not None and known[0] == inode
            yield number, known if same and known else (inode, _peer_of(number, self._port))


def _peer_of(descriptor: int, port: int) -> Peer | None:
    """Return the peer of *descriptor* if it is an accepted connection to *port*."""
    try:
        with _copy(descriptor) as connection:
            if connection.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            if connection.getsockname()[1] != port:
                return None
            return _peer_address(connection)
    except OSError:  # not a socket, a listening socket, or closed
        return None


def _shut_down(descriptor: int, peer: Peer) -> bool:
    try:
        with _copy(descriptor) as connection:
            # the number may be reused: check the copy, then shut down the copy
            if _peer_address(connection) != peer:
                return False
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _peer_address(connection: socket.socket) -> Peer:
    host, port = connection.getpeername()[:2]
    # a dual-stack socket maps IPv4 addresses; grpc does not
    return host.removeprefix("::ffff:"), port


def _copy(descriptor: int) -> socket.socket:
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _parse_peer(name: str) -> Peer:
    """Parse grpc's spelling of a peer, such as `ipv6:%5B::1%5D:5000`."""
    host, _, port = unquote(name).partition(":")[2].rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
