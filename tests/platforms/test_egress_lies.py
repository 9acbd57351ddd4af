"""The way out: servers that do not speak HTTP, or never come to an end."""

import asyncio

import pytest

from service.domain.errors import PlatformUnavailable
from service.platforms.egress import pool
from service.platforms.egress.egress import Egress
from service.platforms.egress.origin import Origin

from .internet import Internet
from .raw import (
    DEADLINE_SECONDS,
    Answer,
    RawServer,
    close_after,
    drip,
    endless,
    hang,
    head,
    respond,
)

BROKEN = {
    "closes at once": b"",
    "half a status line": b"HTTP/1.1 20",
    "half the headers": b"HTTP/1.1 200 OK\r\ncontent-le",
    "half the body": head(content_length="10") + b"hello",
    "half a chunk": head(transfer_encoding="chunked") + b"5\r\nhel",
    "no last chunk": head(transfer_encoding="chunked") + b"5\r\nhello\r\n",
    "a chunk of no size": head(transfer_encoding="chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "a header with a NUL": b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhi",
    "a length below zero": head(content_length="-1"),
    "a length that is none": head(content_length="many"),
    "gzip as a transfer": head(transfer_encoding="gzip, chunked") + b"0\r\n\r\n",
    "a megabyte of noise": bytes(range(256)) * 4096,
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_proves_nothing(
    internet: Internet, raw: RawServer, sent: bytes
) -> None:
    """It is PlatformUnavailable, with a word on why that holds nothing of the answer."""
    raw.on("/", close_after(sent))
    with pytest.raises(PlatformUnavailable) as caught:
        await trusted(internet, raw)
    assert caught.value.why.endswith("Error")
    await raw.all_hung_up()


async def test_an_answer_may_be_strange_and_yet_sound(internet: Internet, raw: RawServer) -> None:
    """What HTTP allows is taken: hints before, an old version, bytes in headers, a body to the
    connection's end."""
    raw.on(
        "/",
        b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + respond("one"),
        respond("two").replace(b"HTTP/1.1", b"HTTP/1.0"),
        respond("three", x_strange="\xe9"),
        close_after(b"HTTP/1.1 200\r\nx: y\r\n\r\nfour"),
    )
    bodies = [(await trusted(internet, raw)).decode() for _ in range(4)]
    assert bodies == ["one", "two", "three", "four"]


async def test_headers_without_end_are_refused(internet: Internet, raw: RawServer) -> None:
    """One long line or many short ones: reading stops at a bound, and is hung up."""
    for piece in (b"a" * 1000, b"a: b\r\n" * 100):
        raw.on("/", endless(b"HTTP/1.1 200 OK\r\nx-", piece))
        with pytest.raises(PlatformUnavailable) as caught:
            await trusted(internet, raw)
        assert caught.value.why == "too_large"
        await raw.all_hung_up()


COSTLY = {
    "hints for ever": endless(b"", b"HTTP/1.1 103 Early\r\n\r\n" * 10),
    "chunks of a byte": endless(head(transfer_encoding="chunked"), b"1\r\nx\r\n" * 100),
    "a long name of a chunk": endless(head(transfer_encoding="chunked") + b"1;", b"x" * 1000),
    "says that it is too long": hang(head(content_length=str(pool.MAX_ANNOUNCED_BYTES + 1))),
}


@pytest.mark.parametrize("answer", COSTLY.values(), ids=COSTLY.keys())
async def test_what_costs_more_than_it_tells_is_refused(
    internet: Internet, raw: RawServer, answer: Answer
) -> None:
    """By a bound of its own, long before any deadline, and hung up."""
    raw.on("/", answer)
    with pytest.raises(PlatformUnavailable) as caught:
        await trusted(internet, raw)
    assert caught.value.why in ("too_large", "RemoteProtocolError")
    await raw.all_hung_up()
    raw.on("/", respond("hello"))
    assert await trusted(internet, raw) == b"hello"


async def test_reading_an_answer_yields_to_other_tasks(internet: Internet, raw: RawServer) -> None:
    """Every few pieces, although all of them have arrived."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    raw.on("/", head(transfer_encoding="chunked") + b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n")
    await trusted(internet, raw)
    other = asyncio.create_task(take_turns())
    assert await trusted(internet, raw) == b"x" * 2000
    other.cancel()
    assert turns > 2000 / pool.PIECES_PER_TURN


@pytest.mark.slow
async def test_the_number_of_large_answers_is_limited(
    internet: Internet, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one waits, and times out after CONNECT_SECONDS; small ones do not wait."""
    monkeypatch.setattr(pool, "MAX_LARGE_BODIES", 1)
    way = Egress(internet.names)
    origin = Origin.parse(raw.origin)
    large = "x" * (pool.LARGE_BODY_BYTES + 1)
    raw.on("/", hang(head(content_length=str(len(large) + 1)) + large.encode()))
    raw.on("/large", respond(large))
    raw.on("/small", respond("hello"))
    holding = asyncio.create_task(way.get(origin, "/", trusted=True))
    await raw.called("/")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not way._trusted._large.locked():
            await asyncio.sleep(0.01)
    with monkeypatch.context() as soon:
        soon.setattr(pool, "CONNECT_SECONDS", 0.5)
        with pytest.raises(PlatformUnavailable) as caught:
            await way.get(origin, "/large", trusted=True)
    assert caught.value.why == "busy"
    assert (await way.get(origin, "/small", trusted=True)).content == b"hello"
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    assert (await way.get(origin, "/large", trusted=True)).text == large
    await way.close()


ENDLESS = {
    "says nothing": hang(),
    "says half": hang(head(content_length="10") + b"hello"),
    "drips its headers": drip(b"HTTP/1.1 200 OK\r\nx: ", b"x", 0.01),
    "drips its body": drip(head(content_length="100000"), b"x", 0.01),
    "drips chunks": drip(head(transfer_encoding="chunked"), b"1\r\nx\r\n", 0.01),
    "hints now and then": drip(b"", b"HTTP/1.1 103 Early\r\n\r\n", 0.01),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS.keys())
async def test_the_callers_deadline_ends_what_never_ends(
    internet: Internet, raw: RawServer, answer: Answer
) -> None:
    """With the connection hung up and the way out as good as before."""
    raw.on("/", answer)
    with pytest.raises(TimeoutError):
        async with raw.deadline_once_called("/"):
            await trusted(internet, raw)
    await raw.all_hung_up()
    raw.on("/", respond("hello"))
    assert await trusted(internet, raw) == b"hello"


async def test_a_silent_server_is_given_up_by_itself(
    internet: Internet, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two reads there is a bound of our own, without a caller's deadline."""
    monkeypatch.setattr(pool, "READ_SECONDS", 0.05)
    raw.on("/", hang(head(content_length="10") + b"hello"))
    with pytest.raises(PlatformUnavailable) as caught:
        await trusted(internet, raw)
    assert caught.value.why == "timeout"
    await raw.all_hung_up()


async def test_a_server_that_does_not_shake_hands_is_given_up(
    internet: Internet, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS has to begin within the time for connecting."""
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.1)
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(PlatformUnavailable):
            await internet.egress.get(Origin("https", "127.0.0.1", raw.port), "/", trusted=True)
    await raw.all_hung_up()


async def test_a_refused_connection_and_an_unknown_host_prove_nothing(
    internet: Internet,
) -> None:
    """They are PlatformUnavailable for what the operator trusts, too."""
    async with RawServer.started() as gone:
        closed = Origin.parse(gone.origin)
    for origin in (closed, Origin("http", "no-such-host.invalid", 80)):
        with pytest.raises(PlatformUnavailable) as caught:
            await internet.egress.get(origin, "/", trusted=True)
        assert caught.value.why == "ConnectError"


async def test_many_slow_calls_leave_nothing_behind(internet: Internet, raw: RawServer) -> None:
    """Cancelled in the middle, all at once: every connection is hung up."""
    raw.on("/", drip(head(content_length="100000"), b"x", 0.01))
    calls = [asyncio.create_task(trusted(internet, raw)) for _ in range(30)]
    await raw.called("/", 30)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert all(call.cancelled() for call in calls)
    await raw.all_hung_up()


async def test_a_host_that_hangs_leaves_connections_to_others(
    internet: Internet, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the limit per origin, a call fails after CONNECT_SECONDS."""
    monkeypatch.setattr(pool, "MAX_CONNECTIONS_PER_ORIGIN", 2)
    raw.on("/", hang())
    calls = [asyncio.create_task(trusted(internet, raw)) for _ in range(2)]
    await raw.called("/", 2)
    with monkeypatch.context() as soon:
        soon.setattr(pool, "CONNECT_SECONDS", 0.1)
        with pytest.raises(PlatformUnavailable) as caught:
            await trusted(internet, raw)
    assert caught.value.why == "host_busy"
    assert raw.connections == 2
    async with RawServer.started() as other:
        other.on("/", respond("hello"))
        assert await trusted(internet, other) == b"hello"
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    raw.on("/", respond("hello"))
    assert await trusted(internet, raw) == b"hello"


async def trusted(internet: Internet, raw: RawServer) -> bytes:
    answer = await internet.egress.get(Origin.parse(raw.origin), "/", trusted=True)
    return answer.content
