"""The connections of the gRPC port: bounded, with those that nobody uses closed first.

grpc accepts connections by itself and offers no way to close one. So the process looks at its own
descriptors for those of the port, and shuts down the sockets of the connections to be closed:
grpc then sees their end, as if the caller had closed them.
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
LOOK_SECONDS = 0.2
IN_USE_SECONDS = 60.0
"""After a call with a valid key a connection counts as used for so long: no call takes longer."""
BEGIN, END = 0.9, 0.75
"""Parts of the limit: from the first on connections are closed, down to the second."""
MAX_PEERS = 10_000

full = Occasional()
Peer = tuple[str, int]


class Connections:
    """The connections to a port: about *most* at once. Those without a valid key go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._port = 0
        self._streams: Counter[str] = Counter()
        self._used: OrderedDict[str, float] = OrderedDict()
        self._seen: dict[Peer, float] = {}
        self._known: dict[int, tuple[int, Peer | None]] = {}
        """Of each descriptor: its inode, and the other end if it is a connection to the port."""

    def note(self, peer: str, streams: int) -> None:
        """A call with a valid key by *peer*, as grpc spells it, and by how many *streams* more."""
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
            await asyncio.sleep(LOOK_SECONDS)
            self.trim()

    def trim(self) -> int:
        """Close connections if there are too many; returns how many were closed."""
        try:
            names = os.listdir(DESCRIPTORS)
        except OSError:
            return 0  # no descriptor is left to look with, or the system shows none
        if len(names) < BEGIN * self._most:
            self._seen.clear()
            self._known.clear()
            return 0
        now = monotonic()
        self._known = dict(self._look(names))
        found = {peer: number for number, (_, peer) in self._known.items() if peer is not None}
        self._seen = {peer: self._seen.get(peer, now) for peer in found}
        over = len(found) - int(END * self._most)
        if len(found) < BEGIN * self._most:
            return 0
        used = {_peer(name): at for name, at in self._used.items()}
        held = {_peer(name) for name in self._streams}
        idle = [
            peer
            for peer in found
            if peer not in held and now - used.get(peer, -IN_USE_SECONDS) >= IN_USE_SECONDS
        ]
        idle.sort(key=lambda peer: self._seen[peer])
        closed = sum(_shut_down(found[peer], peer) for peer in idle[:over])
        full.warning("gRPC connections are closed for want of room", closed=closed, of=len(found))
        return closed

    def _look(self, names: list[str]) -> Iterator[tuple[int, tuple[int, Peer | None]]]:
        for number in map(int, names):
            try:
                inode = os.fstat(number).st_ino
            except OSError:
                continue  # it was closed meanwhile
            known = self._known.get(number)
            # a socket keeps its inode, and to look at it again would cost ten times as much
            same = known is not None and known[0] == inode
            yield number, known if same and known else (inode, _peer_of(number, self._port))


def _peer_of(descriptor: int, port: int) -> Peer | None:
    """The other end of *descriptor*, if it is an accepted connection to *port*."""
    try:
        with _copy(descriptor) as connection:
            if connection.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            if connection.getsockname()[1] != port:
                return None
            return _other_end(connection)
    except OSError:  # no socket, a listening one, or gone
        return None


def _shut_down(descriptor: int, peer: Peer) -> bool:
    try:
        with _copy(descriptor) as connection:
            # it may be another connection's by now: the copy is looked at, and shut down
            if _other_end(connection) != peer:
                return False
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _other_end(connection: socket.socket) -> Peer:
    host, port = connection.getpeername()[:2]
    # a socket that takes both families shows IPv4 so; grpc does not
    return host.removeprefix("::ffff:"), port


def _copy(descriptor: int) -> socket.socket:
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _peer(name: str) -> Peer:
    """`ipv6:%5B::1%5D:5000`, as grpc spells it, as the system does."""
    host, _, port = unquote(name).partition(":")[2].rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
