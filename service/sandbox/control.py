"""Control: the switches over HTTP, for whoever is at this machine and is no web page."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.sandbox import body
from service.sandbox.listener import Listener
from service.sandbox.mistakes import Forbidden
from service.sandbox.network import Network
from service.sandbox.refusals import Refusal
from service.sandbox.server import SandboxServer
from service.sandbox.switches import Switches, Told, require_known
from service.sandbox.xrpc import in_json


class Control:
    """Serves the switches of *network* on a port of their own, in the running event loop."""

    def __init__(self, network: Network, servers: Sequence[SandboxServer]) -> None:
        self._switches = Switches(network, servers)
        self._listener: Listener | None = None

    @property
    def address(self) -> str:
        """HOST:PORT; RuntimeError before the start."""
        if self._listener is None:
            raise RuntimeError("the control surface does not run")
        return self._listener.address

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; 0 picks a free port. ValueError off loopback, OSError if the port is taken."""
        self._listener = await Listener.start(self, host, port)

    async def stop(self) -> None:
        """Close every connection at once; again does nothing."""
        listener, self._listener = self._listener, None
        if listener:
            await listener.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """What a switch says, or `{"error", "message"}`."""
        try:
            return in_json(await self._turn(request), 200, {})
        except Refusal as refusal:
            told = {"error": refusal.error, "message": refusal.message}
            return in_json(told, refusal.status, {})

    async def _turn(self, request: Request) -> Told:
        # a browser sends its page's origin with whatever changes something, and the name that the
        # page has made up for this machine with all that it asks
        if "origin" in request.headers or not _is_this_machine(request.headers.get("host", "")):
            raise Forbidden("the sandbox takes no orders from web pages, or by another name")
        switch, named = self._switches.find(request.method, request.scope["path"])
        given = {} if body.is_empty(request) else await body.read(request, switch.fields)
        body.checked(given, switch.fields)
        if not switch.others:
            require_known(given, switch.fields)
        return switch.turn(named, given)


def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
