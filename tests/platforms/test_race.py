"""Race: which of a host's addresses is connected to, how soon, and what becomes of the others."""

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Any

import httpcore
import pytest

from service.platforms.egress.race import CONNECT_STAGGER_SECONDS, MAX_ADDRESSES, first_connection

from .raw import DEADLINE_SECONDS


class Stream(httpcore.AsyncNetworkStream):
    """A connection to *address*, and whether it is open still."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_open = True

    async def aclose(self) -> None:
        self.is_open = False


class Field:
    """Addresses that answer after some seconds, are refused (None), or are silent (absent)."""

    def __init__(self, **answers: float | None) -> None:
        self.answers = {name.replace("_", ":"): seconds for name, seconds in answers.items()}
        self.tried: list[str] = []
        self.made: list[Stream] = []
        self.ended = 0

    async def connect(self, address: str) -> httpcore.AsyncNetworkStream:
        self.tried.append(address)
        try:
            seconds = self.answers.get(address, DEADLINE_SECONDS)
            if seconds is None:
                raise httpcore.ConnectError
            await asyncio.sleep(seconds)
        finally:
            self.ended += 1
        self.made.append(Stream(address))
        return self.made[-1]

    async def first(self, addresses: Iterable[str]) -> str:
        stream: Any = await first_connection(list(addresses), self.connect)
        assert [made.address for made in self.made if made.is_open] == [stream.address]
        assert self.ended == len(self.tried)
        return str(stream.address)


async def test_the_first_address_is_tried_alone_for_a_moment() -> None:
    """An answer that comes in time leaves the others alone."""
    field = Field(a=CONNECT_STAGGER_SECONDS / 5, b=0)
    assert await field.first("ab") == "a"
    assert field.tried == ["a"]


async def test_a_silent_address_costs_a_moment() -> None:
    """Four that drop what is sent, and a fifth that answers: one second, not twelve."""
    field, started = Field(e=0), monotonic()
    assert await field.first("abcde") == "e"
    assert 4 * CONNECT_STAGGER_SECONDS <= monotonic() - started < 4 * CONNECT_STAGGER_SECONDS + 5


async def test_a_refused_address_costs_nothing() -> None:
    """The next one is tried at once."""
    took: list[float] = []
    for _ in range(5):  # the machine may be busy at one time
        field, started = Field(a=None, b=None, c=0), monotonic()
        assert await field.first("abc") == "c"
        took.append(monotonic() - started)
    assert min(took) < CONNECT_STAGGER_SECONDS


async def test_a_slow_address_may_still_be_the_first() -> None:
    """It goes on while others are tried, which are ended then."""
    field = Field(a=1.5 * CONNECT_STAGGER_SECONDS, c=0)
    assert await field.first("abc") == "a"
    assert field.tried == ["a", "b"]


async def test_of_two_at_once_one_is_closed() -> None:
    """No unused connection stays open."""
    gate = asyncio.Event()
    made: list[Stream] = []

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        await gate.wait()
        made.append(Stream(address))
        return made[-1]

    racing = asyncio.create_task(first_connection(["a", "b"], connect))
    await asyncio.sleep(1.5 * CONNECT_STAGGER_SECONDS)
    gate.set()
    assert isinstance(await racing, Stream)
    assert sorted(stream.is_open for stream in made) == [False, True]


async def test_families_take_turns() -> None:
    """Where one of them leads nowhere, the other is tried soon."""
    field = Field(_2=0)
    assert await field.first(["a", "b", "c", ":1", ":2"]) == ":2"
    assert field.tried == ["a", ":1", "b", ":2"]


async def test_dead_addresses_are_given_up() -> None:
    """After the first few; a name server can name any number."""
    field = Field(**dict.fromkeys("abcdefghij"))
    with pytest.raises(httpcore.ConnectError):
        await field.first("abcdefghij")
    assert len(field.tried) == MAX_ADDRESSES


async def test_a_caller_who_gives_up_leaves_nothing_behind() -> None:
    """No attempt goes on, and no connection stays."""
    field = Field()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5 * CONNECT_STAGGER_SECONDS):
            await field.first("ab")
    assert (field.ended, field.made) == (2, [])
