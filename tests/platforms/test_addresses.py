"""Addresses: which are public, and that nothing else is."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.platforms.egress.addresses import NAT64, NAT64_BYTES, is_public, nat64_prefix

NOT_PUBLIC = {
    "this network": ("0.0.0.0", "0.0.0.1", "0.255.255.255"),
    "private": ("10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    "shared by a carrier": ("100.64.0.0", "100.127.255.255"),
    "loopback": ("127.0.0.1", "127.0.0.53", "127.255.255.254", "::1"),
    "link-local": ("169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"),
    "metadata of clouds": (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
    ),
    "protocol assignments": ("192.0.0.0", "192.0.0.8", "192.0.0.170", "192.0.0.255", "2001::"),
    "documentation": (
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.255",
        "2001:db8::1",
        "2001:db8:ffff::",
        "3fff::1",
        "3fff:fff::1",
    ),
    "6to4": ("192.88.99.1", "2002::", "2002:7f00:1::", "2002:5db8:d822::1"),
    "benchmarks": ("198.18.0.1", "198.19.255.255", "2001:2::1"),
    "AS112 and AMT": (
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "2001:3::1",
        "2001:4:112::1",
        "2620:4f:8000::1",
    ),
    "multicast": ("224.0.0.1", "232.1.1.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "254.1.2.3"),
    "broadcast": ("255.255.255.255",),
    "unspecified": ("::",),
    "unique local": ("fc00::1", "fd12:3456:789a::1", "fdff::1"),
    "site-local, of old": ("fec0::1", "feff::1"),
    "NAT64": ("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "64:ff9b:1::a00:1"),
    "Teredo": ("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    "ORCHID": ("2001:10::1", "2001:20::1", "2001:2f:ffff::1"),
    "drone ids": ("2001:30::1",),
    "discard only": ("100::1", "100:0:0:1::1"),
    "segment routing": ("5f00::1",),
    "mapped": (
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::ffff:c0a8:101",
        "0:0:0:0:0:ffff:7f00:1",
    ),
    "compatible with IPv4, of old": ("::127.0.0.1", "::93.184.216.34", "::ffff:0:127.0.0.1"),
    "scoped": ("fe80::1%eth0", "2606:4700::1%1", "::ffff:93.184.216.34%eth0", "::1%lo"),
    "not given out": ("1::1", "1fff::1", "4000::1", "8000::1", "dead::1"),
}
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "::ffff:93.184.216.34",
)


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, one) for kind, all_ in NOT_PUBLIC.items() for one in all_]
)
def test_no_special_address_is_public(kind: str, address: str) -> None:
    """Every address in the registries of special addresses, in each of its forms."""
    assert not is_public(address), kind


@pytest.mark.parametrize("address", PUBLIC)
def test_a_reachable_address_is_public(address: str) -> None:
    """Everything else is let through, up to the edges of what is refused."""
    assert is_public(address)


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    return (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or not address.is_global
    )


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_nothing_that_python_calls_special_is_public_in_ipv4(address: IPv4Address) -> None:
    """The list refuses at least what Python's own refuses, bare and mapped into IPv6."""
    if _is_special(address):
        assert not is_public(str(address))
    assert is_public(f"::ffff:{address}") == is_public(str(address))


@settings(deadline=None)
@given(st.ip_addresses(v=6))
def test_nothing_that_python_calls_special_is_public_in_ipv6(address: IPv6Address) -> None:
    """The same for IPv6, where an address that wraps another counts as what it wraps."""
    if address.ipv4_mapped is None and address not in NAT64 and _is_special(address):
        assert not is_public(str(address))
    if address.sixtofour is not None or address.teredo is not None:
        assert not is_public(str(address))
    assert not is_public(f"{address}%eth0")


@pytest.mark.parametrize("length", [32, 40, 48, 56, 64, 96])
def test_an_address_that_carries_another_is_judged_by_it(length: int) -> None:
    """Under the network's own prefix, of any length."""
    shown = carrying(length, IPv4Address("192.0.0.170"))
    prefix = nat64_prefix(str(shown))
    assert prefix is not None
    assert prefix.prefixlen == length
    for inside in ("20.0.0.1", "8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0"):
        address = str(carrying(length, IPv4Address(inside)))
        assert is_public(address, [prefix]) == is_public(inside)


@pytest.mark.parametrize("shown", ["::", "2001:67c:64::1", "64:ff9b::808:808"])
def test_what_shows_no_prefix(shown: str) -> None:
    """An address without either of the two known ones in it."""
    assert nat64_prefix(shown) is None


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_the_well_known_prefix_needs_no_query(address: IPv4Address) -> None:
    """64:ff9b::/96 is judged by the address inside."""
    carried = IPv6Address(int(NAT64.network_address) | int(address))
    assert is_public(str(carried)) == is_public(str(address))


def carrying(length: int, inside: IPv4Address) -> IPv6Address:
    """*inside* under the prefix 2a00:1111:2222:3333::, of which *length* bits count."""
    raw = bytearray(IPv6Address("2a00:1111:2222:3300::").packed)
    raw[length // 8 :] = bytes(16 - length // 8)
    for place, octet in zip(NAT64_BYTES[length], inside.packed, strict=True):
        raw[place] = octet
    return IPv6Address(bytes(raw))
