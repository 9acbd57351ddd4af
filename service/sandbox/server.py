"""SandboxServer: a Bluesky server and a PLC directory on one port of this machine."""

from collections import Counter

from starlette.routing import Route, Router

from service.sandbox.breakages import Breakable, Breakages
from service.sandbox.listener import Listener
from service.sandbox.methods import Methods
from service.sandbox.plc import Directory
from service.sandbox.traffic import Traffic
from service.sandbox.world import World
from service.sandbox.xrpc import Xrpc


class SandboxServer:
    """Serves *world* over HTTP/1.1 in the running event loop, without signals, logs or output.

    *breakages* says which calls are answered wrongly: none, where none is given.
    """

    def __init__(self, world: World, breakages: Breakages | None = None) -> None:
        self.world = world
        self.breakages = Breakages() if breakages is None else breakages
        self._running: tuple[Listener, Traffic] | None = None

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:2583; RuntimeError before the start."""
        return f"http://{self._started[0].address}"

    @property
    def port(self) -> int:
        """The port bound; RuntimeError before the start."""
        return self._started[0].port

    @property
    def counts(self) -> Counter[str]:
        """How often each path was called since the start."""
        return self._started[1].counts

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; 0 picks a free port. ValueError off loopback, OSError if the port is taken."""
        if self._running:
            raise RuntimeError("the sandbox server runs already")
        directory = Directory(self.world.ledger)
        xrpc = Xrpc(Methods(self.world, directory).table())
        routes = [Route("/xrpc/{path:path}", xrpc), Route("/{did}", directory)]
        router = Router(routes, redirect_slashes=False)
        traffic = Traffic(Breakable(router, self.breakages, self.world))
        self._running = await Listener.start(traffic, host, port), traffic
        self.world.home.origin = self.origin

    async def stop(self) -> None:
        """Close every connection at once, calls under way included; again does nothing."""
        running, self._running = self._running, None
        if running:
            await running[0].stop()

    @property
    def _started(self) -> tuple[Listener, Traffic]:
        if self._running is None:
            raise RuntimeError("the sandbox server does not run")
        return self._running
