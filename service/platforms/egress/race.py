"""Race: the first of several attempts that works, each begun a moment after the one before."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

import httpcore

T = TypeVar("T")
CONNECT_STAGGER_SECONDS = 0.25
"""How long an address is tried alone before the next one is tried, too (RFC 8305)."""
MOST_ADDRESSES = 8

Connect = Callable[[str], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


async def first_of(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    stagger: float,
    failures: tuple[type[Exception], ...],
    end: Callable[[T], Awaitable[object]] | None = None,
) -> T:
    """What the first of *attempts* to work returns; each begins *stagger* seconds after the one
    before, or once that has failed. *end* is called with what others return.

    Raises what the last of them raised, one of *failures*, where none works.
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
        assert failure is not None, "there is an attempt at least"
        raise failure
    finally:
        for task in running:
            task.cancel()
        for made in await asyncio.gather(*running, return_exceptions=True):
            if end is not None and not isinstance(made, BaseException):
                await end(made)


async def first_connection(
    addresses: Sequence[str], connect: Connect
) -> httpcore.AsyncNetworkStream:
    """The first connection that *connect* makes to one of *addresses*; the others are closed.

    Raises ConnectError or ConnectTimeout, of the last address that failed, where none answers.
    """

    def attempt(address: str) -> Callable[[], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]:
        return lambda: connect(address)

    return await first_of(
        [attempt(address) for address in list(_in_turn(addresses))[:MOST_ADDRESSES]],
        CONNECT_STAGGER_SECONDS,
        (httpcore.ConnectError, httpcore.ConnectTimeout),
        lambda stream: stream.aclose(),
    )


def _in_turn(addresses: Sequence[str]) -> Iterator[str]:
    """*addresses* with both families in turn, IPv4 first: one family may lead nowhere here."""
    old = [address for address in addresses if ":" not in address]
    new = [address for address in addresses if ":" in address]
    return (address for pair in zip_longest(old, new) for address in pair if address)
