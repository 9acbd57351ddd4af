"""Traffic: the calls that reach a server, counted on their way to the application."""

from collections import Counter

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COUNTS_PATH = "/__counts"


class Traffic:
    """An ASGI application around another; *counts* says how often each path was called."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self.counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("ascii", "replace")
        if path == COUNTS_PATH:
            await JSONResponse(self.counts)(scope, receive, send)
            return
        self.counts[path] += 1
        await self._application(scope, receive, send)
