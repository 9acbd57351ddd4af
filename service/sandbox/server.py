"""SandboxServer: a Bluesky server and a PLC directory on one port of this machine."""

from collections import Counter

from starlette.responses import JSONResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from service.sandbox.breakages import Breakable, Breakages
from service.sandbox.listener import Listener
from service.sandbox.methods import Methods
from service.sandbox.plc import Directory
from service.sandbox.world import World
from service.sandbox.xrpc import Xrpc


class SandboxServer:
    """Serves *world* over HTTP/1.1 in the running event loop, without signals, logs or output.

    *breakages* answer the calls that they match; there are none by default.
    """

    def __init__(self, world: World, breakages: Breakages | None = None) -> None:
        self.world = world
        self.breakages = Breakages() if breakages is None else breakages
        self._running: tuple[Listener, _Counted] | None = None

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:2583; raises RuntimeError unless it runs."""
        return f"http://{self._started[0].address}"

    @property
    def port(self) -> int:
        """The port; raises RuntimeError unless it runs."""
        return self._started[0].port

    @property
    def counts(self) -> Counter[str]:
        """The number of calls since the start, by path."""
        return self._started[1].counts

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Port 0: any free one. Raises ValueError off loopback, and OSError if taken."""
        if self._running:
            raise RuntimeError("the sandbox server already runs")
        directory = Directory(self.world.ledger)
        xrpc = Xrpc(Methods(self.world, directory).table())
        routes = [Route("/xrpc/{path:path}", xrpc), Route("/{did}", directory)]
        router = Router(routes, redirect_slashes=False)
        counted = _Counted(Breakable(router, self.breakages, self.world))
        self._running = await Listener.start(counted, host, port), counted
        self.world.home.origin = self.origin

    async def stop(self) -> None:
        """Close every connection at once, with calls in progress. Idempotent."""
        running, self._running = self._running, None
        if running:
            await running[0].stop()

    @property
    def _started(self) -> tuple[Listener, "_Counted"]:
        if self._running is None:
            raise RuntimeError("the sandbox server does not run")
        return self._running


class _Counted:
    """An ASGI application that wraps another and counts its calls by path."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self.counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("ascii", "replace")
        if path == "/__counts":
            await JSONResponse(self.counts)(scope, receive, send)
            return
        self.counts[path] += 1
        await self._application(scope, receive, send)
