"""A connection to the HTTP server: what it may cost us in time and number.

uvicorn waits for the rest of a request for ever. Here a request has ten seconds to arrive, from
its first byte to its last, and the connections that wait for one make room for new ones.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.errors import InvalidRequest, ServiceError, ServiceUnavailable
from service.transport.http import refused
from service.transport.http_request import READ_SECONDS

GRACE_SECONDS = 1.0
"""For telling a caller that its request is late, before the connection is closed."""
DRAIN_SECONDS = 30.0
"""In which a caller is to take what it was sent, once it asks for no more."""
LOGGER = "uvicorn.http"


@dataclass
class Connections:
    """All that are open: *most* of them at once, of which those without a whole request give
    way."""

    most: int
    waiting: "dict[HttpConnection, None]" = field(default_factory=dict)
    """In the order in which they began to wait."""
    state: ServerState = field(default_factory=ServerState)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class HttpConnection(H11Protocol):
    """HTTP/1.1 with deadlines, in JSON throughout, and without uvicorn's log lines."""

    def __init__(self, config: Config, connections: Connections) -> None:
        super().__init__(config, connections.state, {})
        self._all = connections
        self._timer: asyncio.TimerHandle | None = None
        self.access_log = False
        self.logger = logging.getLogger(LOGGER)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._all.most:
            if not self._all.waiting:
                self._refuse(ServiceUnavailable("connections"))
                return
            next(iter(self._all.waiting)).give_way()
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._all.waiting.pop(self, None)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._all.changed.set()

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self.conn.their_state is h11.IDLE:
            self._begin()
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def give_way(self) -> None:
        """Close, so that another can be served."""
        self._stop_timer()
        self._all.waiting.pop(self, None)
        self.connections.discard(self)
        self.transport.abort()

    def shutdown(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._end()

    def send_400_response(self, msg: str) -> None:
        self._refuse(InvalidRequest("", "is not HTTP/1.1, or has a head of more than 16 KiB"))

    def _unsupported_upgrade_warning(self) -> None: ...

    def _begin(self) -> None:
        """A request is due, whole, within its time."""
        until = self.loop.time() + READ_SECONDS
        self.app_state = {"until": until, "hang_up": self._hang_up}
        self._timer = self.loop.call_at(until, self._late, GRACE_SECONDS)
        self._all.waiting[self] = None

    def _look(self) -> None:
        """See whether the request has arrived."""
        if self.transport.is_closing():
            return
        theirs = self.conn.their_state
        idle = theirs is h11.IDLE
        if theirs is h11.SEND_BODY or (idle and (self.cycle is None or self._has_begun())):
            if self._timer is None:
                self._begin()
            return
        self._stop_timer()
        if not idle:
            self._all.waiting.pop(self, None)
            return
        self._all.waiting[self] = None
        if self.timeout_keep_alive_task is None:
            # uvicorn sets none where the rest of a request comes after its response
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _has_begun(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def _late(self, grace: float) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if grace and answering:
            # the edge has the same deadline, and is about to say so
            self._timer = self.loop.call_later(grace, self._late, 0)
            return
        self.transport.abort()

    def _hang_up(self) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True  # which uvicorn learns too late to take it as meant
        self.transport.abort()

    def _end(self) -> None:
        """Close, though that waits for what was sent to be taken."""
        self.transport.close()
        self._stop_timer()
        self._timer = self.loop.call_later(DRAIN_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: ServiceError) -> None:
        """Answer in place of the application, and close."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # there was an answer
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        response = refused(error, {"connection": "close", "cache-control": "no-store"})
        self._send(h11.Response(status_code=response.status_code, headers=response.raw_headers))
        self._send(h11.Data(data=bytes(response.body)))
        self._send(h11.EndOfMessage())
        self._end()

    def _send(self, event: Any) -> None:
        self.transport.write(self.conn.send(event) or b"")
