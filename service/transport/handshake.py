"""A handshake: TLS being agreed on, before there is an HTTP connection; so many at once."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

HANDSHAKE_SECONDS = 10


@dataclass
class Handshakes:
    """Those under way: *most* of them at once, beyond which the oldest gives way."""

    most: int
    context: Callable[[], ssl.SSLContext]
    under_way: "dict[Handshake, None]" = field(default_factory=dict)

    def close(self) -> None:
        for handshake in list(self.under_way):
            handshake.give_way()


class Handshake(asyncio.Protocol):
    """Hands the connection on, once it is agreed, to the protocol that *make* makes."""

    def __init__(self, all_: Handshakes, make: Callable[[], asyncio.Protocol]) -> None:
        self._all = all_
        self._make = make
        self._early: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raw = cast("asyncio.Transport", transport)
        raw.pause_reading()
        self._all.under_way[self] = None
        if len(self._all.under_way) > self._all.most:
            next(iter(self._all.under_way)).give_way()
        self._raw = raw
        self._task = asyncio.create_task(self._agree())

    def data_received(self, data: bytes) -> None:
        # the request may come with the last of the handshake, before anybody hears of that
        self._early.append(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True

    def give_way(self) -> None:
        """Close, so that another can be served."""
        self._all.under_way.pop(self, None)
        if self._task is not None:
            self._task.cancel()

    async def _agree(self) -> None:
        try:
            agreed = await asyncio.get_running_loop().start_tls(
                self._raw,
                self,
                self._all.context(),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError:  # which TLS errors and timeouts are, too: the caller's to know
            agreed = None
        except asyncio.CancelledError:
            self._raw.abort()
            raise
        finally:
            self._all.under_way.pop(self, None)
        if agreed is None or self._lost:
            self._raw.abort()
            return
        protocol = self._make()
        agreed.set_protocol(protocol)
        protocol.connection_made(agreed)
        for data in self._early:
            protocol.data_received(data)
