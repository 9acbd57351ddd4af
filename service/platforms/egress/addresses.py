"""Addresses: which of them are public, by an explicit list.

Source: the IANA special-purpose address registries for IPv4 and IPv6. Python's own `is_global` is
not used: it accepts 6to4, 192.0.0.0/24, and NAT64 addresses that carry a private IPv4 address.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")
NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo and ORCHID among them
            "2001:db8::/32",
            "2002::/16",  # 6to4 wraps any IPv4 address
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
NAT64 = IPv6Network("64:ff9b::/96")
"""The well-known prefix. A network may also have its own."""
NAT64_BYTES = {
    32: (4, 5, 6, 7),
    40: (5, 6, 7, 9),
    48: (6, 7, 9, 10),
    56: (7, 9, 10, 11),
    64: (9, 10, 11, 12),
    96: (12, 13, 14, 15),
}
"""The bytes of an address that hold the IPv4 address, by prefix length (RFC 6052)."""
IPV4ONLY_ADDRESSES = (IPv4Address("192.0.0.170"), IPv4Address("192.0.0.171"))
"""The addresses of ipv4only.arpa. An IPv6 address with one in it reveals its prefix (RFC 7050)."""


def is_public(address: str, nat64: Iterable[IPv6Network] = ()) -> bool:
    """Whether *address* is reachable on the public internet.

    An IPv4-mapped address, and one under the prefixes *nat64* of this network, is public if the
    IPv4 address in it is.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            return False
        parsed = _unwrap(parsed, nat64)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in NOT_PUBLIC_V4)
    return parsed in PUBLIC_V6 and not any(parsed in network for network in NOT_PUBLIC_V6)


def nat64_prefix(answer: str) -> IPv6Network | None:
    """Return the prefix of a network that resolves ipv4only.arpa to *answer*, an IPv6 address."""
    address = IPv6Address(answer)
    for length in sorted(NAT64_BYTES, reverse=True):
        if _embedded(address, length) in IPV4ONLY_ADDRESSES:
            return IPv6Network((address, length), strict=False)
    return None


def _unwrap(address: IPv6Address, nat64: Iterable[IPv6Network]) -> IPv4Address | IPv6Address:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for prefix in (NAT64, *nat64):
        if address in prefix:
            return _embedded(address, prefix.prefixlen)
    return address


def _embedded(address: IPv6Address, length: int) -> IPv4Address:
    return IPv4Address(bytes(address.packed[index] for index in NAT64_BYTES[length]))
