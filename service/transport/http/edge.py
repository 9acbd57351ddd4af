"""The HTTP edge: an ASGI application that serves the contract as JSON.

The boundary handles keys, limits, deadlines, the log and errors; the servicers handle the calls.
The body of an error is `{"error": REASON, "message": TEXT}`.
"""

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import Any

import structlog
from google.protobuf.message import Message
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from service.access.rate_limits import Allowance
from service.domain.errors import (
    InternalError,
    MethodNotAllowed,
    OAuthNotAvailable,
    PathNotFound,
    ServiceError,
    ServiceUnavailable,
)
from service.domain.model import Caller
from service.runtime.tracing import TRACE_HEADERS
from service.transport.auditing import name_request
from service.transport.boundary import Boundary, Call, request_id
from service.transport.http import docs, json_form
from service.transport.http import request as http_request
from service.transport.http.request import header
from service.transport.http.routes import HEALTH, OAUTH_ENTRANCE, ROUTES, Route
from service.transport.servicers import SCOPES
from service.transport.status import STATUS, seconds_to_wait

CLIENT_CLOSED = 499
"""The status, in the metrics alone, of a request whose client has gone."""
Answer = Callable[[Request, str, dict[str, str]], Awaitable[Response]]

log = structlog.get_logger()


class HttpEdge:
    """Serves the routes of the contract, health, the OpenAPI document and its page, and *pages*.

    These answer by path and verb, errors included.
    """

    def __init__(
        self,
        boundary: Boundary,
        *servicers: object,
        pages: Mapping[str, Mapping[str, Answer]] = MappingProxyType({}),
    ) -> None:
        self._boundary = boundary
        self.active = 0
        """Requests in progress."""
        self.draining = False
        """Whether health checks are answered with 503."""
        answers: dict[str, dict[str, Answer]] = {}
        for route in ROUTES:
            [behaviour] = [
                getattr(servicer, route.method)
                for servicer in servicers
                if hasattr(servicer, route.method)
            ]
            answers.setdefault(route.path, {})[route.verb] = partial(self._call, route, behaviour)
        answers[OAUTH_ENTRANCE]["GET"] = self._oauth_entrance
        answers[HEALTH] = {"GET": self._health}
        for path in docs.FILES:
            answers[path] = {"GET": partial(self._docs, path)}
        for path, verbs in pages.items():
            answers[path] = dict(verbs)
        # fixed paths first: `connect` is not a profile key
        self._answers = [
            (path, compile_path(path)[0], answers[path])
            for path in sorted(answers, key=_has_parameter)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = perf_counter(), CLIENT_CLOSED
        self.active += 1
        try:
            status = await self._respond(scope, receive, send)
        finally:
            self.active -= 1
            seconds = perf_counter() - started
            route = scope.get("route", "")
            self._boundary.metrics.request(scope["method"], route, status, seconds)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer the request; return the status, CLIENT_CLOSED if the client has gone."""
        request = Request(scope, receive)
        sent_id = request_id(header(request, "x-request-id"))
        try:
            response = await self._answer(request, sent_id)
        except ClientDisconnect:
            return CLIENT_CLOSED
        except ServiceError as error:
            response = error_response(error)
        except Exception as error:
            log.error("call failed", request_id=sent_id, exc_info=error)
            response = error_response(InternalError())
        response.headers.update(common_headers(sent_id))
        await response(scope, receive, send)
        return response.status_code

    async def _answer(self, request: Request, sent_id: str) -> Response:
        # still percent-encoded: a decoded slash in a segment would look like a separator
        path = request.scope["raw_path"].decode()
        for route, pattern, answers in self._answers:
            if found := pattern.fullmatch(path):
                request.scope["route"] = route
                answer = answers.get("GET" if request.method == "HEAD" else request.method)
                if answer:
                    return await answer(request, sent_id, http_request.segments(found.groupdict()))
                allow = ", ".join(
                    sorted({*answers, "OPTIONS", *({"HEAD"} if "GET" in answers else ())})
                )
                if request.method == "OPTIONS":
                    return Response(status_code=204, headers={"allow": allow})
                return error_response(MethodNotAllowed(), {"allow": allow})
        raise PathNotFound

    async def _call(
        self,
        route: Route,
        behaviour: Callable[[Message, Caller], Awaitable[Message]],
        request: Request,
        sent_id: str,
        segments: dict[str, str],
    ) -> Response:
        call = Call(
            route.method,
            "http",
            header(request, "x-api-key"),
            sent_id,
            SCOPES[route.method],
            peer=f"{request.client.host}:{request.client.port}" if request.client else "",
            headers={
                name: sent for name in TRACE_HEADERS if (sent := header(request, name)) is not None
            },
            route=f"{route.verb} {route.path}",
        )
        body: bytes | ServiceError = http_request.NO_BODY
        # Read the body before the boundary, so that its deadline covers only the work. Without a
        # valid key the boundary rejects the call, and the body is not read.
        if route.body and await self._boundary.may_have_valid_key(call):
            body = await http_request.body_of(request)

        async def work(caller: Caller) -> Message:
            message = http_request.message(route, request, segments, body)
            name_request(message)
            return await behaviour(message, caller)

        allowances: list[Allowance] = []
        try:
            reply = await self._boundary.run(call, work, allowances.append)
        except ServiceError as error:
            response = error_response(error)
        else:
            response = JSONResponse(_reply_body(route, reply), route.status)
        for allowance in allowances:
            response.headers.update(_rate_limit(allowance))
        return response

    async def _oauth_entrance(self, *_: object) -> Response:
        raise OAuthNotAvailable

    async def _health(self, *_: object) -> Response:
        if self.draining:
            raise ServiceUnavailable("draining")
        return JSONResponse({"status": "SERVING"})

    async def _docs(self, path: str, *_: object) -> Response:
        return docs.response(path)


def common_headers(sent_id: str) -> dict[str, str]:
    """Return the headers of every response; *sent_id* is the request's id."""
    return {
        "x-request-id": sent_id,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "date": formatdate(usegmt=True),
    }


def error_response(error: ServiceError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response for *error*."""
    status = STATUS[type(error)]
    body: dict[str, Any] = {"error": status.name, "message": error.message}
    sent = dict(headers or {})
    if (seconds := seconds_to_wait(error)) is not None:
        sent["retry-after"] = str(seconds)
        if status.has_retry_after:
            body["retry_after"] = seconds
    return JSONResponse(body, status.http, sent)


def _reply_body(route: Route, reply: Message) -> dict[str, Any]:
    if route.message:
        return {"message": route.message}
    return json_form.encoded(getattr(reply, route.reply_field) if route.reply_field else reply)


def _rate_limit(allowance: Allowance) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(allowance.limit),
        "x-ratelimit-remaining": str(allowance.remaining),
        "x-ratelimit-reset": str(math.ceil(time.time() + allowance.seconds)),
    }


def _has_parameter(path: str) -> bool:
    return "{" in path
