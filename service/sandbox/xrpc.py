"""XRPC: routes `/xrpc/` to methods, and answers in JSON."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.sandbox.refusals import InvalidRequest, InvalidToken, Refusal

_PATH = re.compile(r"(?=.{2})[A-Za-z0-9]+(?:[-.][A-Za-z0-9]+)*/?")

# methods that the real server does not proxy to its app view, with any HTTP method
_NEVER_PROXIED = frozenset({"com.atproto.server.getSession"})

_CORS = {"access-control-allow-origin": "*"}
_AUTHORIZED = {"cache-control": "private", "vary": "Authorization"}


@dataclass(frozen=True, slots=True)
class Method:
    """An XRPC method. *answer* returns a JSON object, or None for an answer without a body."""

    verb: str
    answer: Callable[[Request], Awaitable[Mapping[str, object] | None]]
    authorized: bool = False


class Xrpc:
    """The methods of a server, as an ASGI application."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Return the response to any request."""
        headers = _CORS
        try:
            method = self._find(request)
            if method.authorized:
                headers = _CORS | _AUTHORIZED
            answer = await method.answer(request)
        except Refusal as refusal:
            body = {"error": refusal.error, "message": refusal.message}
            return in_json(body, refusal.status, headers)
        if answer is None:
            return Response(headers=headers)
        return in_json(answer, 200, headers)

    def _find(self, request: Request) -> Method:
        path = request.path_params["path"]
        name = path.removesuffix("/")
        verb = "GET" if request.method == "HEAD" else request.method
        method = self._methods.get(name)
        if method is not None and method.verb == verb:
            return method
        if not _PATH.fullmatch(path):
            raise InvalidRequest("invalid xrpc path")
        if verb not in ("GET", "POST"):
            raise InvalidRequest("XRPC requests only supports GET and POST")
        if name in _NEVER_PROXIED:
            raise InvalidToken("Bad token method")
        # the real server proxies unknown methods to its app view; this is its error without one
        raise InvalidRequest(f"No service configured for {name}")


def in_json(
    body: Mapping[str, object],
    status: int,
    headers: Mapping[str, str],
    media_type: str = "application/json",
) -> Response:
    """Return *body* as JSON in the real servers' form: without spaces, and with the charset."""
    # a message may quote half a surrogate pair, which JSON escapes
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    return Response(raw, status, {**headers, "content-type": f"{media_type}; charset=utf-8"})
