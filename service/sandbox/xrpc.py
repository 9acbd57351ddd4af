"""Xrpc: the `/xrpc/` of a server: finds the method, answers in JSON, words every refusal."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.sandbox.refusals import InvalidRequest, InvalidToken, Refusal

_PATH = re.compile(r"(?=.{2})[A-Za-z0-9]+(?:[-.][A-Za-z0-9]+)*/?")

# methods that the real server never hands on to another, whatever the verb
_NEVER_PROXIED = frozenset({"com.atproto.server.getSession"})

_EVERYWHERE = {"access-control-allow-origin": "*"}
_AUTHORIZED = {"cache-control": "private", "vary": "Authorization"}


@dataclass(frozen=True, slots=True)
class Method:
    """An XRPC method: what it answers is its JSON, or None for no body at all."""

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
        """The response to *request*, whatever it is."""
        headers = _EVERYWHERE
        try:
            method = self._find(request)
            if method.authorized:
                headers = _EVERYWHERE | _AUTHORIZED
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
        # the real server would hand an unknown method, or a wrong verb, to its app view:
        # this is how it answers where it has none
        raise InvalidRequest(f"No service configured for {name}")


def in_json(
    body: Mapping[str, object],
    status: int,
    headers: Mapping[str, str],
    media_type: str = "application/json",
) -> Response:
    """*body* as the real servers write JSON: no spaces, and the charset named."""
    # a message may quote half a surrogate pair: this writes it as the escape that JSON wants
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    return Response(raw, status, {**headers, "content-type": f"{media_type}; charset=utf-8"})
