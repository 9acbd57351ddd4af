"""Names: what DNS may answer, and what it means."""

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import monotonic

import pytest
from dns.rcode import Rcode

from service.domain.errors import PlatformUnavailable
from service.platforms.egress import dns as names
from service.platforms.egress.dns import (
    MAX_RECORDS,
    QUERY_SECONDS,
    NameNotFound,
    Resolver,
)

from .dns_server import (
    NEVER,
    NODATA,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    TRUNCATED,
    DnsServer,
    Reply,
    text,
)
from .internet import Internet
from .raw import DEADLINE_SECONDS

NAME = "_atproto.alice.example.com"


@pytest.fixture
def dns(internet: Internet) -> DnsServer:
    return internet.dns


async def test_the_strings_of_a_record_are_one_text(internet: Internet, dns: DnsServer) -> None:
    """A long text is cut into strings on the wire; each record is joined without a gap."""
    dns.say(NAME, "TXT", Reply((text("did=did:plc:", "aaaa", ""), text("v=spf1 -all"))))
    assert sorted(await internet.names.texts(NAME)) == ["did=did:plc:aaaa", "v=spf1 -all"]


async def test_texts_that_are_not_ascii_are_left_out(internet: Internet, dns: DnsServer) -> None:
    """They hold no DID, and do not spoil those that do."""
    dns.say(NAME, "TXT", Reply((text("did=\\195\\188"), text("\\255"), text("did=x"), text(""))))
    assert sorted(await internet.names.texts(NAME)) == ["", "did=x"]


async def test_a_chain_of_names_is_followed(internet: Internet, dns: DnsServer) -> None:
    """As far as a resolver gives it whole; one without end, or without an aim, is not."""
    hops = tuple(f"hop{n}.example.net" for n in range(8))
    dns.say(NAME, "TXT", Reply((text("did=x"),), chain=hops))
    assert await internet.names.texts(NAME) == ["did=x"]
    long = tuple(f"hop{n}.example.net" for n in range(40))
    for reply in (Reply((text("did=x"),), chain=long), Reply(chain=("b.example.net", NAME))):
        dns.say(NAME, "TXT", reply)
        with pytest.raises(PlatformUnavailable):
            await internet.names.texts(NAME)
    dns.say(NAME, "TXT", Reply(chain=hops))
    with pytest.raises(NameNotFound):
        await internet.names.texts(NAME)


async def test_an_answer_too_long_for_a_datagram_comes_by_tcp(
    internet: Internet, dns: DnsServer
) -> None:
    """A truncated answer is asked for again, and is worth nothing by itself."""
    long = text("did=", *("a" * 250 for _ in range(20)))
    dns.say(NAME, "TXT", TRUNCATED, long)
    [found] = await internet.names.texts(NAME)
    assert len(found) == 5004
    assert [protocol for _, _, protocol in dns.asked] == ["udp", "tcp"]


def _spoken(replies: tuple[Reply, ...]) -> str:
    return " then ".join(
        "truncated" if reply.truncated else "never" if reply.silent else reply.rcode.name
        for reply in replies
    )


@pytest.mark.parametrize("reply", [NXDOMAIN, NODATA])
async def test_only_a_clear_no_means_not_there(
    internet: Internet, dns: DnsServer, reply: Reply
) -> None:
    """NXDOMAIN and NODATA are NameNotFound."""
    dns.say(NAME, "TXT", reply)
    with pytest.raises(NameNotFound):
        await internet.names.texts(NAME)


@pytest.mark.parametrize(
    "replies",
    [
        (SERVFAIL,),
        (REFUSED,),
        (NEVER,),
        (TRUNCATED, NEVER),
        (TRUNCATED, SERVFAIL),
        (TRUNCATED,),
        (TRUNCATED, Reply((text("did=x"),), truncated=True)),
        (Reply(rcode=Rcode.FORMERR),),
        (Reply(rcode=Rcode.NOTIMP),),
        (Reply(rcode=Rcode.YXDOMAIN),),
    ],
    ids=_spoken,
)
async def test_a_failure_means_nothing(
    internet: Internet,
    dns: DnsServer,
    monkeypatch: pytest.MonkeyPatch,
    replies: tuple[Reply, ...],
) -> None:
    """PlatformUnavailable, within the time that a question may take."""
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.15)
    dns.say(NAME, "TXT", *replies)
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(PlatformUnavailable) as caught:
            await internet.names.texts(NAME)
    assert caught.value.why in ("dns", "dns_timeout")


async def test_no_name_server_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that cannot ask knows nothing of the name."""
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.15)
    async with DnsServer.started() as gone:
        port = gone.port
    with pytest.raises(PlatformUnavailable):
        await Resolver(["127.0.0.1"], port).texts(NAME)


async def test_answers_are_bounded(internet: Internet, dns: DnsServer) -> None:
    """Sixty-four records are read, and more are refused."""
    many = tuple(text(f"did={n}") for n in range(MAX_RECORDS + 1))
    dns.say(NAME, "TXT", Reply(many[:-1]), Reply(many))
    assert len(await internet.names.texts(NAME)) == MAX_RECORDS == 64
    with pytest.raises(PlatformUnavailable) as caught:
        await internet.names.texts(NAME)
    assert caught.value.why == "dns_too_many_answers"


async def test_a_name_too_long_for_dns_is_not_there(internet: Internet, dns: DnsServer) -> None:
    """A handle may be as long as a name, and so have no room for the prefix of its record."""
    handle = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61))
    assert len(handle) == 253
    with pytest.raises(NameNotFound):
        await internet.names.texts(f"_atproto.{handle}")
    assert dns.asked == []


async def test_four_and_six_are_asked_at_once_and_come_in_order(
    internet: Internet, dns: DnsServer
) -> None:
    """IPv4 first, whichever answers first."""
    dns.say("pds.example.com", "A", Reply(("93.184.216.34", "93.184.216.35")))
    dns.say("pds.example.com", "AAAA", "2606:4700::1")
    found = await internet.names.addresses("pds.example.com")
    assert sorted(found[:2]) == ["93.184.216.34", "93.184.216.35"]
    assert found[2:] == ["2606:4700::1"]
    assert sorted(kind for _, kind, _ in dns.asked) == ["A", "AAAA"]


async def test_a_caller_who_gives_up_leaves_nothing_behind(
    internet: Internet, dns: DnsServer
) -> None:
    """A question under way ends with its caller, by either protocol."""
    dns.say(NAME, "TXT", NEVER)
    dns.say("tcp.example.com", "TXT", TRUNCATED, NEVER)
    for name in (NAME, "tcp.example.com"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await internet.names.texts(name)
    dns.say(NAME, "TXT", text("did=x"))
    assert await internet.names.texts(NAME) == ["did=x"]


async def test_the_server_that_answered_last_is_asked_first(dns: DnsServer) -> None:
    """A silent one costs its time once, although the names that are asked for do not exist."""
    resolver = Resolver(["127.0.0.9", "127.0.0.1"], dns.port)
    with silent("127.0.0.9", dns.port):
        took: list[float] = []
        for _ in range(6):
            started = monotonic()
            with pytest.raises(NameNotFound):
                await resolver.texts("nothing.example.com")
            took.append(monotonic() - started)
    assert took[0] < QUERY_SECONDS
    assert median(took[1:]) < 0.2


async def test_another_resolv_conf_is_noticed(
    dns: DnsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written over, replaced, not there at first, or named by another link."""
    monkeypatch.setattr(names, "RESOLV_CONF_SECONDS", 0.0)
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.3)
    dns.say(NAME, "TXT", text("did=x"))
    good, bad = "# a remark\nnameserver 127.0.0.1\n", "search example.com\nnameserver 127.0.0.9\n"
    conf = tmp_path / "resolv.conf"
    resolver = Resolver(port=dns.port, resolv_conf=conf)

    async def answers() -> bool:
        try:
            return await resolver.texts(NAME) == ["did=x"]
        except PlatformUnavailable:
            return False

    assert await answers()  # no such file: the machine's own name server, as in the C library
    conf.write_text(bad)
    assert not await answers()
    conf.write_text(good)
    assert await answers()
    for unusable in ("", "nameserver\n", "nameserver none\n", "options timeout:1\n"):
        conf.write_text(unusable)
        assert await answers()  # one that is being written: the servers that are known stay
    (tmp_path / "new").write_text(bad)
    (tmp_path / "new").rename(conf)
    assert not await answers()
    conf.unlink()
    (tmp_path / "stub").write_text(good)
    conf.symlink_to("stub")
    assert await answers()
    conf.unlink()
    (tmp_path / "other").write_text(bad)
    conf.symlink_to("other")
    assert not await answers()


@pytest.mark.parametrize("slow", ["A", "AAAA"])
async def test_a_family_that_is_never_answered_is_not_waited_for(
    internet: Internet, dns: DnsServer, slow: str
) -> None:
    """Once the other family's addresses are known."""
    dns.say("pds.example.com", "A", "93.184.216.34")
    dns.say("pds.example.com", "AAAA", "2606:4700::1")
    dns.say("pds.example.com", slow, NEVER)
    started = monotonic()
    found = await internet.names.addresses("pds.example.com")
    assert found == (["93.184.216.34"] if slow == "AAAA" else ["2606:4700::1"])
    assert monotonic() - started < QUERY_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("servers", [1, 2, 3])
async def test_a_slow_server_is_waited_for(
    internet: Internet, dns: DnsServer, servers: int
) -> None:
    """Its late answer counts, although others, or it, have been asked since."""
    dns.say(NAME, "TXT", Reply((text("did=x"),), seconds=1.6))
    resolver = Resolver(["127.0.0.1"] * servers, dns.port)
    started = monotonic()
    assert await resolver.texts(NAME) == ["did=x"]
    assert monotonic() - started < 2.5


async def test_the_address_that_dns64_makes_is_waited_for(
    internet: Internet, dns: DnsServer
) -> None:
    """It comes after the one of IPv4, which leads nowhere in such a network."""
    dns.say(names.NAT64_NAME, "AAAA", "64:ff9b::c000:aa")
    dns.say("pds.example.com", "A", "20.0.0.1")
    dns.say("pds.example.com", "AAAA", Reply(("64:ff9b::1400:1",), seconds=0.6))
    await internet.names.nat64()
    found = await internet.names.addresses("pds.example.com")
    assert found == ["20.0.0.1", "64:ff9b::1400:1"]


async def test_a_question_for_prefixes_that_is_not_answered_costs_little(
    internet: Internet, dns: DnsServer
) -> None:
    """A second at the most, once a minute."""
    dns.say(names.NAT64_NAME, "AAAA", NEVER)
    started = monotonic()
    assert await asyncio.gather(*(internet.names.nat64() for _ in range(20))) == [()] * 20
    assert await internet.names.nat64() == ()
    assert monotonic() - started < 2 * names.NAT64_QUERY_SECONDS


async def test_the_networks_nat64_prefixes_are_asked_for(
    internet: Internet, dns: DnsServer
) -> None:
    """Once in a while; a network without DNS64 shows none."""
    assert await internet.names.nat64() == ()
    dns.say(names.NAT64_NAME, "AAAA", Reply(("2001:67c:64::c000:aa", "64:ff9b:1::c000:ab")))
    assert await internet.names.nat64() == ()
    another = Resolver(["127.0.0.1"], dns.port)
    assert set(map(str, await another.nat64())) == {"2001:67c:64::/96", "64:ff9b:1::/96"}
    assert dns.times_asked(names.NAT64_NAME) == 2


async def test_a_cancelled_query_closes_its_socket(internet: Internet, dns: DnsServer) -> None:
    """At whichever step it is cancelled, and without the garbage collector."""
    dns.say(NAME, "TXT", NEVER)
    gc.collect()
    gc.disable()
    try:
        before = _datagram_sockets()
        for steps in range(12):
            query = asyncio.create_task(internet.names.texts(NAME))
            for _ in range(steps):
                await asyncio.sleep(0)
            query.cancel()
            await asyncio.wait([query])
        await asyncio.sleep(0.05)
        assert _datagram_sockets() == before
    finally:
        gc.enable()


def _datagram_sockets() -> int:
    """How many datagram sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            each = socket.socket(fileno=int(name))
            count += each.type == socket.SOCK_DGRAM
            each.detach()
    return count


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """A name server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((address, port))
        yield
