"""The way out: which answers are taken, and what is sent along."""

import gzip
import tracemalloc
import zlib

import httpx
import pytest

from service.domain.errors import PlatformUnavailable
from service.platforms.egress import pool
from service.platforms.egress.egress import Egress
from service.platforms.egress.origin import Origin
from service.platforms.egress.pool import MAX_BODY_BYTES

from .bluesky_login import LyingBluesky, session
from .dns_server import NXDOMAIN
from .internet import Internet
from .raw import RawServer, endless, hang, head, respond

HOST = "pds.example.com"
BOMB = 8 * 1024 * 1024


class Way:
    def __init__(self, egress: Egress, origin: Origin, server: RawServer, *, trusted: bool) -> None:
        self.egress = egress
        self.origin = origin
        self.server = server
        self.trusted = trusted

    async def get(self, path: str = "/") -> httpx.Response:
        return await self.egress.get(self.origin, path, trusted=self.trusted)

    async def refused(self, why: str, path: str = "/") -> PlatformUnavailable:
        with pytest.raises(PlatformUnavailable) as caught:
            await self.get(path)
        assert caught.value.why == why
        return caught.value


@pytest.fixture(params=["guarded", "trusted"])
def way(request: pytest.FixtureRequest, internet: Internet, raw: RawServer) -> Way:
    """Both ways out: trust lifts no rule on what an answer may be."""
    if request.param == "guarded":
        internet.site(HOST, "/elsewhere", respond("nothing"))
        return Way(internet.egress, Origin("https", HOST, 443), internet.web, trusted=False)
    return Way(internet.egress, Origin.parse(raw.origin), raw, trusted=True)


async def test_no_redirect_is_followed(way: Way, trap: RawServer) -> None:
    """Every status of the 300s is refused, be its target elsewhere or at the same server."""
    for status in (*range(300, 309), 350, 399):
        for location in (f"{trap.origin}/", "/elsewhere", f"{way.origin}/elsewhere", ""):
            way.server.on("/", respond(b"", status, location=location))
            refusal = await way.refused("redirect")
            assert refusal.retry_after is None
    assert way.server.times("/elsewhere") == 0


async def test_a_redirect_is_not_followed_by_the_name_either(internet: Internet) -> None:
    """The target of a redirect is not even looked up."""
    internet.site(HOST, "/", respond(b"", 302, location="https://next.example.com/"))
    internet.dns.say("next.example.com", "A", NXDOMAIN)
    with pytest.raises(PlatformUnavailable):
        await internet.get(HOST)
    assert internet.dns.times_asked("next.example.com") == 0


async def test_cookies_are_never_sent_back(way: Way) -> None:
    """Neither in the next request nor to the reader of the answer."""
    way.server.on("/", respond("one", set_cookie="a=b; Path=/", set_cookie2="a=b"))
    answer = await way.get()
    assert "set-cookie" not in answer.headers
    await way.get()
    assert way.server.times("/") == 2
    assert way.server.connections == 1
    assert not any(request.values("cookie") for request in way.server.requests)


async def test_plain_answers_are_asked_for(way: Way) -> None:
    """Only the encoding identity, once; and nothing about the caller except the product."""
    way.server.on("/", respond("hello"))
    await way.get()
    [request] = way.server.requests
    assert request.values("accept-encoding") == ["identity"]
    assert [name for name, _ in request.headers] == [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
    ]


async def test_a_client_on_the_transport_cannot_ask_for_more(way: Way) -> None:
    """What httpx adds by itself, and what its caller asks for, is taken out."""
    way.server.on("/", respond("hello"))
    transport = way.egress.transport(way.origin, trusted=way.trusted)
    async with httpx.AsyncClient(transport=transport, cookies={"a": "b"}) as client:
        answer = await client.get(f"{way.origin}/", headers={"accept-encoding": "gzip, br, zstd"})
        with pytest.raises(PlatformUnavailable) as caught:
            await client.get("https://elsewhere.example.com/")
    assert answer.text == "hello"
    assert caught.value.why == "another_origin"
    [request] = way.server.requests
    assert request.values("accept-encoding") == ["identity"]
    assert request.values("cookie") == []


@pytest.mark.parametrize(
    "encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "GZIP", " gzip ", "identity, gzip"]
)
async def test_an_encoded_answer_is_refused_without_being_inflated(way: Way, encoding: str) -> None:
    """With any stated encoding, and any size on the wire."""
    zeros = bytes(BOMB)
    bomb = gzip.compress(zeros, 1) if "gzip" in encoding.lower() else zlib.compress(zeros, 1)
    way.server.on("/", respond("hello"), respond(bomb, content_encoding=encoding))
    await way.get()
    tracemalloc.start()
    try:
        refusal = await way.refused("encoded")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.retry_after is None
    assert most < 2 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_an_answer_that_is_not_encoded_may_say_so(way: Way, encoding: str) -> None:
    """`identity` and an empty header are no encoding."""
    way.server.on("/", respond("hello", content_encoding=encoding))
    assert (await way.get()).content == b"hello"


async def test_a_compressed_body_without_an_encoding_is_unchanged(way: Way) -> None:
    """Nothing is inflated on a guess."""
    raw = gzip.compress(b"hello")
    way.server.on("/", respond(raw))
    assert (await way.get()).content == raw


async def test_an_answer_may_be_just_so_large(way: Way) -> None:
    """128 KiB pass, and one byte more does not."""
    way.server.on("/", respond(bytes(MAX_BODY_BYTES)), respond(bytes(MAX_BODY_BYTES + 1)))
    assert len((await way.get()).content) == MAX_BODY_BYTES == 128 * 1024
    await way.refused("too_large")


async def test_a_large_answer_is_refused_before_its_end(way: Way) -> None:
    """Be its length announced, hidden in chunks or open: reading stops early, and is hung up."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    for answer in (
        endless(head(content_length=str(10**12)), bytes(0x10000)),
        endless(head(transfer_encoding="chunked"), chunk),
        endless(head(connection="close"), bytes(0x10000)),
        hang(head(content_length=str(10**12)) + bytes(MAX_BODY_BYTES + 1)),
    ):
        way.server.on("/", answer)
        tracemalloc.start()
        try:
            await way.refused("too_large")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 16 * MAX_BODY_BYTES
        await way.server.all_hung_up()


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch, trap: RawServer) -> None:
    """Every variable that names one names the trap."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, trap.origin)
        monkeypatch.setenv(name.upper(), trap.origin)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


async def test_proxy_variables_are_ignored(proxies: None, way: Way) -> None:
    """In any environment, connections go to the address that was checked."""
    way.server.on("/", respond("hello"))
    await way.get()
    transport = way.egress.transport(way.origin, trusted=way.trusted)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get(f"{way.origin}/")
    assert way.server.times("/") == 2


async def test_a_login_ignores_proxy_variables(proxies: None, bluesky: LyingBluesky) -> None:
    """Nor does the SDK, which would read them."""
    await bluesky.log_in(respond(session()))


async def test_an_idle_connection_is_not_used_again(
    internet: Internet, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a server would hang up on it: Node's do after five seconds."""
    assert pool.KEEP_IDLE_SECONDS < 5
    monkeypatch.setattr(pool, "KEEP_IDLE_SECONDS", 0)
    raw.on("/", respond("hello"))
    short = Egress(internet.names, dial=internet.dial)
    for _ in range(2):
        await short.get(Origin.parse(raw.origin), "/", trusted=True)
    await short.close()
    assert raw.connections == 2
