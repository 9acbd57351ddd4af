"""Streams: how many may be open, and what ends them although their caller goes on.

A stream has no deadline of ours, so what was checked when it began is checked again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import groupby

import structlog

from service.access import Access
from service.errors import (
    InternalError,
    InvalidApiKey,
    RateLimitExceeded,
    ServiceError,
    ServiceUnavailable,
)

KEY_SECONDS = 2.0
"""Between two looks at a key, and how old what is seen of it may be: together less than 5 s."""
RETRY_SECONDS = 10

log = structlog.get_logger()


class Streams:
    """The streams that are open in this process: *most* in all, *most_of_tenant* of one tenant."""

    def __init__(self, access: Access, most: int, most_of_tenant: int) -> None:
        self._access = access
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._open: set[_Stream] = set()
        self._of_tenant: Counter[str] = Counter()
        self._closed = False

    @asynccontextmanager
    async def open(self, api_key: str | None) -> AsyncIterator[None]:
        """A stream for as long as the block lasts.

        Raises RateLimitExceeded where there are too many, and in the block InvalidApiKey once the
        key is good no more, or ServiceUnavailable when the server stops.
        """
        key = await self._access.check(api_key, KEY_SECONDS)
        if self._closed:
            raise _stopping()
        of_tenant = self._of_tenant[key.tenant_id]
        if len(self._open) >= self._most or of_tenant >= self._most_of_tenant:
            raise RateLimitExceeded(RETRY_SECONDS)
        stream = _Stream(api_key or "")
        self._open.add(stream)
        self._of_tenant[key.tenant_id] += 1
        try:
            async with stream.timeout:
                yield
        except TimeoutError:
            if stream.refusal is None:
                raise
            raise stream.refusal from None
        finally:
            self._open.discard(stream)
            self._of_tenant[key.tenant_id] -= 1
            if not self._of_tenant[key.tenant_id]:
                del self._of_tenant[key.tenant_id]

    async def run(self) -> None:
        """End the streams whose key is revoked, or whose tenant is deleted, within 5 s."""
        while True:
            await asyncio.sleep(KEY_SECONDS)
            by_key = sorted(self._open, key=_api_key)
            for api_key, streams in groupby(by_key, _api_key):
                if refusal := await self._refusal(api_key):
                    for stream in streams:
                        stream.end(refusal)

    async def _refusal(self, api_key: str) -> ServiceError | None:
        try:
            await self._access.check(api_key, KEY_SECONDS)
        except InvalidApiKey as refusal:
            return refusal
        except ServiceUnavailable:
            return None  # proves nothing of the key
        except Exception:
            log.exception("a stream's key cannot be checked")
            return InternalError()
        return None

    def close(self) -> None:
        """End all streams, and let no more begin: the server stops."""
        self._closed = True
        for stream in self._open:
            stream.end(_stopping())


class _Stream:
    """A stream that is open, and why it was ended."""

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.timeout = asyncio.timeout(None)
        self.refusal: ServiceError | None = None

    def end(self, refusal: ServiceError) -> None:
        if self.refusal is None:
            self.refusal = refusal
            # a stream that is just ending by itself needs no more
            with suppress(RuntimeError):
                self.timeout.reschedule(asyncio.get_running_loop().time())


def _api_key(stream: _Stream) -> str:
    return stream.api_key


def _stopping() -> ServiceUnavailable:
    return ServiceUnavailable("stopping")
