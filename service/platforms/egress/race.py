"""Race: staggered attempts, of which the first success wins."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

import httpcore

T = TypeVar("T")
CONNECT_STAGGER_SECONDS = 0.25
"""Delay between the attempts to connect to two addresses (RFC 8305)."""
MAX_ADDRESSES = 8

Connect = Callable[[str], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


async def first_of(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    stagger: float,
    failures: tuple[type[Exception], ...],
    end: Callable[[T], Awaitable[object]] | None = None,
) -> T:
    """Return the result of the first attempt to succeed; cancel the others.

    An attempt starts *stagger* seconds after the previous one, or as soon as a running one fails.
    *end* is called with the result of each other attempt that also succeeded. If all fail, raises
    the last failure; *failures* are the exceptions that count as one.
    """
    waiting = list(attempts)
    running: set[asyncio.Future[T]] = set()
    failure: Exception | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(waiting.pop(0)()))
            wait = stagger if waiting else None
            done, _ = await asyncio.wait(running, timeout=wait, return_when=FIRST_COMPLETED)
            for task in done:
                running.discard(task)
                try:
                    return task.result()
                except failures as error:
                    failure = error
        assert failure is not None, "there is at least one attempt"
        raise failure
    finally:
        for task in running:
            task.cancel()
        for result in await asyncio.gather(*running, return_exceptions=True):
            if end is not None and not isinstance(result, BaseException):
                await end(result)


async def first_connection(
    addresses: Sequence[str], connect: Connect
) -> httpcore.AsyncNetworkStream:
    """Return the first connection to one of *addresses*; close the others.

    Tries at most MAX_ADDRESSES. If all fail, raises the last ConnectError or ConnectTimeout.
    """

    def attempt(address: str) -> Callable[[], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]:
        return lambda: connect(address)

    return await first_of(
        [attempt(address) for address in list(_alternate(addresses))[:MAX_ADDRESSES]],
        CONNECT_STAGGER_SECONDS,
        (httpcore.ConnectError, httpcore.ConnectTimeout),
        lambda stream: stream.aclose(),
    )


def _alternate(addresses: Sequence[str]) -> Iterator[str]:
    """Alternate IPv4 and IPv6, IPv4 first: one family may be unreachable from here."""
    old = [address for address in addresses if ":" not in address]
    new = [address for address in addresses if ":" in address]
    return (address for pair in zip_longest(old, new) for address in pair if address)
