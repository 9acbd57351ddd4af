"""Resolver changes: the machine's resolv.conf and network change while the service's resolver runs.

    python -m tests.identity.resolver_changes FOLDER STORY

It runs inside the namespaces. FOLDER is an empty folder. It exits with 0 if the resolver
follows the change.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.domain.errors import PlatformUnavailable
from service.platforms.egress.dns import NameNotFound, NameNotPublic, Resolver
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from tests.identity import namespace_setup
from tests.identity.nameserver import NameServer
from tests.identity.namespace_setup import RESOLV_CONF, bring_up, name_servers, silent_name_server
from tests.identity.network import Network
from tests.identity.places import (
    NAME_SERVER,
    NAME_SERVER_6,
    SECOND_NAME_SERVER,
    SILENT_NAME_SERVER,
    WEB,
)
from tests.platforms.dns_server import NODATA, Reply, text
from tests.platforms.raw import respond

NAME = "name.situations.net"
NOTICED_SECONDS = 5.0
FAST_SECONDS = 1.0


@asynccontextmanager
async def name_server(address: str, says: str) -> AsyncIterator[NameServer]:
    """One that has a TXT record for `NAME`, and an address."""
    async with NameServer.started(address, 53) as server:
        server.say(NAME, "TXT", text(says))
        server.say(NAME, "A", WEB)
        yield server


@asynccontextmanager
async def two_name_servers() -> AsyncIterator[None]:
    """The first says `first`, the second says `second`."""
    async with name_server(NAME_SERVER, "first"), name_server(SECOND_NAME_SERVER, "second"):
        yield


async def ask(resolver: Resolver) -> str:
    """The text of `NAME`, or the class of the error."""
    try:
        [answer] = await resolver.texts(NAME)
    except (PlatformUnavailable, NameNotFound) as error:
        return type(error).__name__
    return answer


async def expect(resolver: Resolver, wanted: str) -> None:
    """Wait until the answer is *wanted*; a change must be noticed in time."""
    until = time.monotonic() + NOTICED_SECONDS
    while (got := await ask(resolver)) != wanted:
        assert time.monotonic() < until, f"still {got!r}, not {wanted!r}"
        await asyncio.sleep(0.1)


def replace(path: Path, *addresses: str) -> None:
    """Write *path* as editors and DHCP clients do: beside it, and renamed."""
    draft = path.with_name("draft")
    draft.write_text("".join(f"nameserver {address}\n" for address in addresses))
    draft.rename(path)


async def rewritten() -> None:
    async with two_name_servers():
        resolver = Resolver()
        assert await ask(resolver) == "first"
        name_servers(SECOND_NAME_SERVER)
        await expect(resolver, "second")
        name_servers(NAME_SERVER)
        await expect(resolver, "first")


async def rewritten_while_nobody_asks() -> None:
    """The first question after five seconds goes to the new server."""
    async with two_name_servers():
        resolver = Resolver()
        assert await ask(resolver) == "first"
        name_servers(SECOND_NAME_SERVER)
        await asyncio.sleep(NOTICED_SECONDS)
        assert await ask(resolver) == "second"


async def rewritten_with_the_same_size_and_time() -> None:
    """As coarse clocks of file systems make it."""
    async with two_name_servers():
        resolver = Resolver()
        assert await ask(resolver) == "first"
        before = RESOLV_CONF.stat()
        name_servers(SECOND_NAME_SERVER)
        os.utime(RESOLV_CONF, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert RESOLV_CONF.stat().st_size == before.st_size
        await expect(resolver, "second")


async def renamed() -> None:
    async with two_name_servers():
        resolver = Resolver()
        assert await ask(resolver) == "first"
        replace(RESOLV_CONF, SECOND_NAME_SERVER)
        await expect(resolver, "second")


async def linked() -> None:
    """First the file behind the link is replaced, then the link."""
    async with two_name_servers():
        behind, other = RESOLV_CONF.with_name("behind.conf"), RESOLV_CONF.with_name("other.conf")
        replace(behind, NAME_SERVER)
        replace(other, NAME_SERVER)
        RESOLV_CONF.unlink()
        RESOLV_CONF.symlink_to(behind)
        resolver = Resolver()
        assert await ask(resolver) == "first"
        replace(behind, SECOND_NAME_SERVER)
        await expect(resolver, "second")
        link = RESOLV_CONF.with_name("link")
        link.symlink_to(other)
        link.rename(RESOLV_CONF)
        await expect(resolver, "first")


async def missing_at_first() -> None:
    async with two_name_servers():
        RESOLV_CONF.unlink()
        resolver = Resolver()
        assert await ask(resolver) == "PlatformUnavailable"
        replace(RESOLV_CONF, NAME_SERVER)
        await expect(resolver, "first")


async def empty_at_first() -> None:
    async with two_name_servers():
        RESOLV_CONF.write_text("")
        resolver = Resolver()
        assert await ask(resolver) == "PlatformUnavailable"
        name_servers(NAME_SERVER)
        await expect(resolver, "first")


async def missing_for_a_while() -> None:
    """Meanwhile the servers that were known are asked."""
    async with two_name_servers():
        resolver = Resolver()
        assert await ask(resolver) == "first"
        RESOLV_CONF.unlink()
        await asyncio.sleep(1.5)
        assert await ask(resolver) == "first"
        replace(RESOLV_CONF, SECOND_NAME_SERVER)
        await expect(resolver, "second")


async def odd_lines() -> None:
    """Comments, options, and addresses that are none; a search list is not used."""
    async with two_name_servers():
        RESOLV_CONF.write_text(
            "# by a tool\n; too\n\nsearch situations.net\noptions ndots:5 edns0 trust-ad\n"
            f"nameserver\nnameserver nonsense\n\tnameserver   {SECOND_NAME_SERVER}  # here\n"
        )
        resolver = Resolver()
        assert await ask(resolver) == "second"
        with pytest.raises(NameNotFound):
            await resolver.texts("name")


async def by_ipv6() -> None:
    async with name_server(NAME_SERVER_6, "by IPv6"):
        name_servers(NAME_SERVER_6)
        assert await ask(Resolver()) == "by IPv6"


async def network_is_late() -> None:
    """It comes up while the resolver is there and was asked in vain."""
    resolver = Resolver()
    assert await ask(resolver) == "PlatformUnavailable"
    bring_up()
    async with two_name_servers():
        await expect(resolver, "first")


async def first_is_silent() -> None:
    """The second question, and many at once after it, go to the server that answered."""
    async with name_server(SECOND_NAME_SERVER, "second"):
        with silent_name_server():
            name_servers(SILENT_NAME_SERVER, SECOND_NAME_SERVER)
            resolver = Resolver()
            assert await ask(resolver) == "second"
            begun = time.monotonic()
            assert await ask(resolver) == "second"
            assert await resolver.addresses(NAME) == [WEB]
            assert set(await asyncio.gather(*(ask(resolver) for _ in range(20)))) == {"second"}
            assert time.monotonic() - begun < FAST_SECONDS


async def first_falls_silent() -> None:
    """And comes back, while the second one falls silent."""
    name_servers(NAME_SERVER, SECOND_NAME_SERVER)
    resolver = Resolver()
    async with name_server(SECOND_NAME_SERVER, "second"):
        async with name_server(NAME_SERVER, "first"):
            assert await ask(resolver) == "first"
        assert await ask(resolver) == "second"
    async with name_server(NAME_SERVER, "first"):
        assert await ask(resolver) == "first"


async def own_nat64_prefix(folder: Path) -> None:
    """Addresses under a prefix that the network shows are judged by the IPv4 address inside."""
    async with Network.started(folder) as network:
        network.dns.say("ipv4only.arpa", "AAAA", "64:ff9b:1::c000:aa")
        for host, address in (("public", "64:ff9b:1::1400:1"), ("private", "64:ff9b:1::a00:1")):
            network.dns.say(f"{host}.situations.net", "A", NODATA)
            network.dns.say(f"{host}.situations.net", "AAAA", Reply((address,)))
            network.webs[0].on(f"{host}.situations.net/", respond(b"here"))
        egress = Egress(Resolver(), Roots(proxy=network.authority.roots))
        answer = await egress.get(Origin("https", "public.situations.net", 443), "/")
        assert answer.content == b"here"
        with pytest.raises(NameNotPublic):
            await egress.get(Origin("https", "private.situations.net", 443), "/")
        await egress.close()


NAT64 = own_nat64_prefix.__name__
STORIES: dict[str, Callable[[], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        rewritten,
        rewritten_while_nobody_asks,
        rewritten_with_the_same_size_and_time,
        renamed,
        linked,
        missing_at_first,
        empty_at_first,
        missing_for_a_while,
        odd_lines,
        by_ipv6,
        network_is_late,
        first_is_silent,
        first_falls_silent,
    )
}


async def main(folder: Path, story: str) -> None:
    namespace_setup.set_up(folder, late=story == network_is_late.__name__)
    await (own_nat64_prefix(folder) if story == NAT64 else STORIES[story]())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
