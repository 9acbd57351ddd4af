"""The admin edge: probes and metrics, for the operator's machines. It has no API keys."""

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from service.domain.errors import MethodNotAllowed, PathNotFound
from service.runtime.metrics import CONTENT_TYPE, Metrics
from service.transport.boundary import request_id
from service.transport.http.edge import common_headers, error_response

SCRAPE_SECONDS = 1.0
"""Scrapes within this time share one text: writing it costs milliseconds of the event loop."""

Check = Callable[[], str]
"""Returns why a dependency does not work, in a word; empty if it does. Waits for nothing."""


class AdminEdge:
    """Serves /livez, /readyz and /metrics. *checks*: what readiness depends on, by name."""

    def __init__(self, metrics: Metrics, checks: Mapping[str, Check]) -> None:
        self._metrics = metrics
        self.draining = False
        """Whether the service drains."""
        self._checks: Mapping[str, Check] = {
            **checks,
            "drain": lambda: "in_progress" if self.draining else "",
        }
        for name, check in self._checks.items():
            metrics.ready.labels(name).set_function(partial(_is_ok, check))
        self._answers: Mapping[str, Callable[[Request], Response]] = {
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._scrape,
        }
        self._text, self._written_at = b"", -SCRAPE_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = self._answers.get(request.url.path)
        if answer is None:
            response = error_response(PathNotFound())
        elif request.method not in ("GET", "HEAD"):
            response = error_response(MethodNotAllowed(), {"allow": "GET, HEAD"})
        else:
            response = answer(request)
        response.headers.update(common_headers(request_id(None)))
        await response(scope, receive, send)

    def _live(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    def _ready(self, request: Request) -> Response:
        faults = {name: check() for name, check in self._checks.items()}
        is_ready = not any(faults.values())
        lines = [f"[-]{name} {why}" if why else f"[+]{name} ok" for name, why in faults.items()]
        lines.append("readyz check passed" if is_ready else "readyz check failed")
        # a failed probe says why without being asked
        shown = lines if not is_ready or "verbose" in request.query_params else ["ok"]
        return PlainTextResponse("\n".join(shown) + "\n", 200 if is_ready else 503)

    def _scrape(self, _: Request) -> Response:
        if monotonic() - self._written_at >= SCRAPE_SECONDS:
            self._text, self._written_at = self._metrics.text(), monotonic()
        return Response(self._text, media_type=CONTENT_TYPE)


def _is_ok(check: Check) -> bool:
    return not check()
