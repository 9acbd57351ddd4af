"""The way out: which address is connected to, and what decides it."""

import asyncio

import dns.name
import pytest

from service.domain.errors import PlatformUnavailable
from service.domain.model import PlatformUnavailableCause
from service.platforms.egress import dns as names
from service.platforms.egress import race
from service.platforms.egress.dns import NameNotFound, NameNotPublic
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from service.platforms.egress.pool import dial

from .dns_server import NEVER, NODATA, SERVFAIL, Reply
from .internet import UNREACHABLE, WEB, Internet
from .raw import DEADLINE_SECONDS, RawServer, respond

HOST = "pds.example.com"
HELLO = respond("hello")
LAST = respond("hello", connection="close")


async def test_a_public_site_answers(internet: Internet) -> None:
    """https to a public address, proved by its certificate, is let through."""
    internet.site(HOST, "/", HELLO)
    assert await internet.get(HOST) == b"hello"
    assert internet.dialled == [(WEB, 443)]


async def test_the_address_connected_to_is_the_one_checked(internet: Internet) -> None:
    """One look-up for check and connection: a name that changes meanwhile gains nothing."""
    internet.site(HOST, "/", LAST)
    internet.dns.say(HOST, "A", WEB, "127.0.0.1")
    assert await internet.get(HOST) == b"hello"
    assert internet.dns.times_asked(HOST) == 2  # A and AAAA
    await refused(internet, "forbidden_address")
    assert internet.dialled == [(WEB, 443)]


@pytest.mark.parametrize(
    ("kind", "addresses"),
    [
        ("A", (WEB, "127.0.0.1")),
        ("A", ("10.0.0.1", WEB)),
        ("A", (*(f"93.184.216.{n}" for n in range(40, 50)), "169.254.169.254")),
        ("AAAA", ("::1",)),
        ("AAAA", ("2606:4700::1", "fd00:ec2::254")),
        ("AAAA", ("::ffff:127.0.0.1",)),
        ("AAAA", ("64:ff9b::7f00:1",)),
    ],
)
async def test_a_mix_of_public_and_private_is_refused_whole(
    internet: Internet, kind: str, addresses: tuple[str, ...]
) -> None:
    """One address that is not public, of either kind, and none of the others is tried."""
    internet.site(HOST, "/", HELLO)
    internet.dns.say(HOST, kind, Reply(addresses))
    await refused(internet, "forbidden_address")
    assert internet.dialled == []


async def test_an_alias_counts_as_what_it_leads_to(internet: Internet) -> None:
    """A chain of names to a private address is refused, one to a public address is not."""
    internet.site(HOST, "/", LAST)
    internet.dns.say(HOST, "A", Reply((WEB,), chain=("a.example.com", "b.example.net")))
    assert await internet.get(HOST) == b"hello"
    internet.dns.say(HOST, "A", Reply(("127.0.0.1",), chain=("localhost",)))
    await refused(internet, "forbidden_address")


async def test_the_next_address_is_tried_where_one_does_not_answer(internet: Internet) -> None:
    """In their order, at most eight; a host behind many dead ones is given up."""
    internet.site(HOST, "/", LAST)
    internet.dns.say(HOST, "A", Reply((UNREACHABLE, WEB)))
    assert await internet.get(HOST) == b"hello"
    assert (WEB, 443) in internet.dialled
    internet.dialled.clear()
    internet.dns.say(HOST, "A", Reply(tuple(f"93.184.216.{n}" for n in range(100, 110))))
    await refused(internet, "ConnectError")
    assert len(internet.dialled) == race.MAX_ADDRESSES


@pytest.mark.parametrize("reply", [SERVFAIL, NEVER])
async def test_one_kind_of_address_is_enough(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """Where AAAA fails, what A said stands; where both fail, nothing is known."""
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.4)
    internet.site(HOST, "/", LAST)
    internet.dns.say(HOST, "AAAA", reply)
    assert await internet.get(HOST) == b"hello"
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.1)
    internet.dns.say(HOST, "A", NODATA)
    await refused(internet, "dns_timeout" if reply is NEVER else "dns")


async def test_a_missing_name_differs_from_a_failure(internet: Internet) -> None:
    """NXDOMAIN and NODATA are certain: NameNotFound."""
    internet.dns.say("no-address.example.com", "TXT", '"hello"')
    for host in ("nothing.example.com", "no-address.example.com"):
        with pytest.raises(NameNotFound):
            await internet.get(host)
    assert internet.dialled == []


async def test_names_are_absolute(internet: Internet) -> None:
    """A search domain of the machine is never tried."""
    [server] = internet.names._current()
    server.resolver.search = [dns.name.from_text("example.com.")]
    server.resolver.ndots = 5
    internet.dns.say("pds.internal.example.com", "A", WEB)
    with pytest.raises(NameNotFound):
        await internet.get("pds.internal")
    assert {name for name, _, _ in internet.dns.asked} == {"pds.internal", names.NAT64_NAME}


@pytest.mark.parametrize(
    "host", ["xn--bcher-kva.example.com", "xn--ls8h.example.com", "xn--a.com", "a.xn--p1ai"]
)
async def test_international_names_are_hosts_like_others(internet: Internet, host: str) -> None:
    """Also those, such as an emoji's, that only an older standard allows."""
    internet.site(host, "/", HELLO)
    assert await internet.get(host) == b"hello"
    assert internet.web.requests[0].values("host") == [host]


async def test_a_certificate_for_another_name_is_refused(internet: Internet) -> None:
    """Nothing is asked of a server that cannot show that it is the one meant."""
    internet.site("wrong.example.com", "/", HELLO)
    internet.authority.misnamed["wrong.example.com"] = "other.example.com"
    with pytest.raises(PlatformUnavailable):
        await internet.get("wrong.example.com")
    assert internet.web.requests == []


async def test_only_roots_that_the_operator_named_are_added(internet: Internet) -> None:
    """Without them a private authority's certificate is worth nothing."""
    internet.site(HOST, "/", HELLO)
    plain = Egress(internet.names, dial=internet.dial)
    with pytest.raises(PlatformUnavailable):
        await plain.get(Origin("https", HOST, 443), "/")
    await plain.close()
    assert internet.web.requests == []


async def test_a_sandbox_reaches_trusted_origins_only(internet: Internet) -> None:
    """No public name is looked up or connected to."""
    internet.site(HOST, "/", HELLO)
    closed = Egress(
        internet.names, Roots(proxy=internet.authority.roots), internet.dial, only_trusted=True
    )
    with pytest.raises(PlatformUnavailable) as caught:
        await closed.get(Origin("https", HOST, 443), "/")
    assert caught.value.cause is PlatformUnavailableCause.ADDRESS_NOT_ALLOWED
    await closed.close()
    assert internet.dns.times_asked(HOST) == 0
    assert internet.web.requests == []


async def test_the_real_dial_connects_to_the_address_itself(raw: RawServer) -> None:
    """And reports a refused connection as such."""
    stream = await dial("127.0.0.1", raw.port, 1)
    await stream.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", timeout=1)
    assert (await stream.read(12, timeout=1)) == b"HTTP/1.1 404"
    await stream.aclose()
    assert raw.connections == 1


async def refused(internet: Internet, why: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises((PlatformUnavailable, NameNotPublic)) as caught:
            await internet.get(HOST)
    assert isinstance(caught.value, PlatformUnavailable | NameNotPublic)
    assert caught.value.why == why
