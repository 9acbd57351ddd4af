"""Site: a stand-in for one server of a platform, and the changes that break it."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from service.sandbox.listener import Listener
from service.sandbox.refusals import UnknownFault, UnknownSwitch

Change = Callable[[str], None]
"""A change to the site, or to the account that it is given the name of."""


class Site(ABC):
    """Serves a platform's API over HTTP/1.1 on loopback, in the running event loop."""

    platform: ClassVar[str]
    """The platform's id."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """The number of requests since the start, by method and path."""
        self.status: int | None = None
        """The status of every answer, with an HTML body, while it is set: an outage."""
        self._listener: Listener | None = None
        self._router = Router(list(self.routes()), redirect_slashes=False)
        self.reset()

    @abstractmethod
    def restore(self) -> None:
        """Restore the accounts at the start. The constructor calls it too."""

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Return the routes of the platform's API."""

    @abstractmethod
    def credentials(self) -> Mapping[str, str]:
        """Return the sample account's credentials, by the fields' JSON names."""

    @abstractmethod
    def changes(self) -> Mapping[str, Change]:
        """Return the changes by name, such as `revoke`. Each takes an account's name."""

    def change(self, name: str, account: str) -> None:
        """Make a change; raise UnknownSwitch if there is none of that name."""
        changes = self.changes()
        if name not in changes:
            known = ", ".join(sorted(changes))
            raise UnknownSwitch(f"{self.platform} has no change {name}; it has {known}")
        changes[name](account)

    def reset(self) -> None:
        """Restore the accounts at the start, mend the outage, and set the counts to zero."""
        self.restore()
        self.status = None
        self.counts.clear()

    def break_(self, status: int | None) -> None:
        """Answer everything with *status* until it is None; raise UnknownFault if out of range."""
        if status is not None and not 400 <= status <= 599:
            raise UnknownFault("a status is from 400 to 599")
        self.status = status

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:2590; raises RuntimeError unless it runs."""
        if self._listener is None:
            raise RuntimeError("the site does not run")
        return f"http://{self._listener.address}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Port 0: any free one. Raises ValueError off loopback, and OSError if taken."""
        self._listener = await Listener.start(self, host, port)

    async def stop(self) -> None:
        """Close every connection at once. Idempotent."""
        listener, self._listener = self._listener, None
        if listener:
            await listener.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.counts[f"{scope['method']} {scope['path']}"] += 1
        if self.status is not None:
            body = "<!doctype html><title>The site is not available</title>"
            answer = PlainTextResponse(body, self.status, {"content-type": "text/html"})
            await answer(scope, receive, send)
            return
        await self._router(scope, receive, send)
