"""Race: a connection to whichever of a host's addresses answers first (RFC 8305)."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import httpcore

STAGGER_SECONDS = 0.25
"""How long an address is tried alone before the next one is tried, too."""
MOST_ADDRESSES = 8

Connect = Callable[[str], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


async def first_connection(
    addresses: Sequence[str], connect: Connect
) -> httpcore.AsyncNetworkStream:
    """The first connection that *connect* makes to one of *addresses*; the others are closed.

    Raises ConnectError or ConnectTimeout, of the last address that failed, where none answers.
    """
    waiting = list(_in_turn(addresses))[:MOST_ADDRESSES]
    running: set[asyncio.Future[httpcore.AsyncNetworkStream]] = set()
    failure: Exception = httpcore.ConnectError()
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(connect(waiting.pop(0))))
            wait = STAGGER_SECONDS if waiting else None
            done, _ = await asyncio.wait(running, timeout=wait, return_when=FIRST_COMPLETED)
            for task in done:
                running.discard(task)
                try:
                    return task.result()
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failure = error
        raise failure
    finally:
        await _end(running)


async def _end(running: set[asyncio.Future[httpcore.AsyncNetworkStream]]) -> None:
    for task in running:
        task.cancel()
    for made in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(made, httpcore.AsyncNetworkStream):
            await made.aclose()


def _in_turn(addresses: Sequence[str]) -> Iterator[str]:
    """*addresses* with both families in turn, IPv4 first: one family may lead nowhere here."""
    old = [address for address in addresses if ":" not in address]
    new = [address for address in addresses if ":" in address]
    return (address for pair in zip_longest(old, new) for address in pair if address)
