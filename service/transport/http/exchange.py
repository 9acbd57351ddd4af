"""One HTTP request and its response, between h11 and the ASGI application."""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import Message, Scope

from service.domain.errors import InvalidRequest
from service.transport.http.head import END, check_head, not_http
from service.transport.http.wire import HttpWire

MAX_BODY_WIRE_BYTES = 128 * 1024
"""Limit for a body including its chunk framing; the body itself has at most 64 KiB."""
MAX_CHUNKS = 1024
MAX_CHUNK_HEAD_BYTES = 512
"""Limit for the size line of a chunk with its extensions, and for all trailers together."""
EVENTS_PER_STEP = 16
"""Chunks parsed in one step, before other connections can parse."""
SEND_SECONDS = 30.0
"""Time limit for a client to read a response."""
AUTHORITY = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
VERSIONS = (b"1.0", b"1.1")
"""HTTP/1.0 has no chunked bodies."""
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
DISCONNECT: Message = {"type": "http.disconnect"}


class HttpExchange:
    """Parses a request and writes the response.

    It parses *head* at once, and the body from *wire* when the application asks for it. *turn*
    waits for a step of parsing; its argument says whether the input was sent ahead. The
    constructor raises InvalidRequest if the head is malformed.
    """

    def __init__(
        self, wire: HttpWire, turn: Callable[[bool], Awaitable[None]], head: bytes
    ) -> None:
        self._wire = wire
        self._turn = turn
        self.is_whole = False
        """Whether the whole request has been parsed."""
        self.is_last = False
        """Whether the server closes the connection after this response."""
        self._is_given = False
        self._has_backlog = False
        self._tail = b""
        self._wire_bytes = self._chunks = 0
        check_head(head)
        self._http = h11.Connection(h11.SERVER, MAX_CHUNK_HEAD_BYTES)
        self._http.receive_data(head)
        request = self._event()
        assert isinstance(request, h11.Request)
        self._request = request
        self._is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
        if request.http_version not in VERSIONS[self._is_chunked :]:
            raise not_http()
        self.is_whole = isinstance(self._event(), h11.EndOfMessage)

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can serve another request."""
        done = h11.DONE
        return self._http.our_state is done and self._http.their_state is done

    def scope(self, state: dict[str, Any]) -> Scope:
        """Return the ASGI scope. An absolute-form target is reduced to path and query."""
        target = self._request.target
        if found := AUTHORITY.match(target):
            target = target[found.end() :]
            target = target if target.startswith(b"/") else b"/" + target
        path, _, query = target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self._request.http_version.decode(),
            "scheme": "https" if self._wire.is_tls else "http",
            "method": self._request.method.decode(),
            "root_path": "",
            "path": path.decode(),
            "raw_path": path,
            "query_string": query,
            "headers": list(self._request.headers),
            "state": state,
        }

    async def receive(self) -> Message:
        """Return the next part of the body. Raise InvalidRequest if it is malformed, or exceeds
        MAX_BODY_WIRE_BYTES or MAX_CHUNKS."""
        if self._is_given:
            await self._wire.closed.wait()
            return DISCONNECT
        if self._http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        part = bytearray()
        await self._turn(self._has_backlog)
        self._has_backlog = False
        for _ in range(EVENTS_PER_STEP):
            if self.is_whole:
                break
            event = self._event()
            if isinstance(event, h11.Data):
                part += event.data
                self._chunks += event.chunk_start
                if self._chunks > MAX_CHUNKS:
                    raise InvalidRequest("", f"has a body of more than {MAX_CHUNKS} chunks")
            elif isinstance(event, h11.EndOfMessage):
                self._end_body(event)
            elif part:
                break
            elif not (self._wire.received or await self._wire.more()):
                return DISCONNECT
            else:
                self._feed()
        else:
            self._has_backlog = True
        self._is_given = self.is_whole
        return {"type": "http.request", "body": bytes(part), "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        """Write a part of the response, and wait until the client has read most of it."""
        if self._wire.transport.is_closing():
            return
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
            if self.is_last or not self.is_whole:
                headers.append((b"connection", b"close"))
            self._write(h11.Response(status_code=status, headers=headers, reason=REASONS[status]))
            return
        if message.get("body") and self._request.method != b"HEAD":
            self._write(h11.Data(data=message["body"]))
        if not message.get("more_body"):
            self._write(h11.EndOfMessage())
        await self._wire.written(SEND_SECONDS)

    def _write(self, event: h11.Event) -> None:
        self._wire.transport.write(self._http.send(event) or b"")

    def _event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            raise not_http() from None

    def _feed(self) -> None:
        data = bytes(self._wire.received)
        self._wire.received.clear()
        self._wire_bytes += len(data)
        if self._wire_bytes > MAX_BODY_WIRE_BYTES:
            raise InvalidRequest("", "has a body of more than 128 KiB, chunk sizes included")
        self._tail = self._tail[-len(END) :] + data
        self._http.receive_data(data)

    def _end_body(self, event: h11.EndOfMessage) -> None:
        rest, _ = self._http.trailing_data
        self._wire.received[:0] = rest
        # h11 accepts a bare LF at the end of the trailers; a proxy may not
        consumed = self._tail[: len(self._tail) - len(rest)]
        if self._is_chunked and (event.headers or not consumed.endswith(END)):
            raise not_http()
        self.is_whole = True
