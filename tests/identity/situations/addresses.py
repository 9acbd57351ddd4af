"""The addresses of the handle's host, which has the well-known file."""

from dns.rcode import NXDOMAIN as NO_NAME

from tests.identity.nameserver import Answering, Lie
from tests.identity.places import REFUSING, SILENT, UNROUTED, WEB, WEB_6
from tests.identity.situation import ACCOUNT, NONE, Page, Situation
from tests.platforms.dns_server import NEVER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, Reply

NO = "NoSuchAccount"
DEAD = "PlatformUnavailable(ConnectError)"
LATE = "PlatformUnavailable(timeout)"
NO_DNS = "PlatformUnavailable(dns_timeout)"
DNS = "PlatformUnavailable(dns)"
NAT64 = "64:ff9b::1400:1"
A = Reply((WEB,))
AAAA = Reply((WEB_6,))
SPECIAL = {
    "a private address (10.0.0.1)": "10.0.0.1",
    "a carrier's shared address (100.64.0.1)": "100.64.0.1",
    "loopback (127.0.0.1)": "127.0.0.1",
    "any address (0.0.0.0)": "0.0.0.0",
    "a link-local address (169.254.7.1)": "169.254.7.1",
    "a private address (172.16.0.1)": "172.16.0.1",
    "a documentation address (192.0.2.1)": "192.0.2.1",
    "a private address (192.168.7.1)": "192.168.7.1",
    "a benchmark address (198.18.0.1)": "198.18.0.1",
    "loopback (::1)": "::1",
    "a private address behind NAT64": "64:ff9b::a00:1",
    "NAT64 by a prefix for local use": "64:ff9b:1::1400:1",
    "Teredo (2001::1400:1)": "2001::1400:1",
    "a documentation address (2001:db8::1)": "2001:db8::1",
    "6to4 of a public address": "2002:1400:1::1",
    "a private address mapped into IPv6": "::ffff:10.0.0.1",
    "a unique local address (fc00::1)": "fc00::1",
}
UNREACHABLE = {
    "a link-local address (fe80::1)": "fe80::1",
    "multicast (224.0.0.1)": "224.0.0.1",
    "broadcast (255.255.255.255)": "255.255.255.255",
}
FOUND: dict[str, tuple[str | Answering, ...]] = {
    "IPv4 alone": (WEB,),
    "IPv6 alone": (WEB_6,),
    "IPv4 and IPv6": (WEB, WEB_6),
    "two addresses": (WEB, "20.0.0.2"),
    "IPv4 refuses, IPv6 answers": (REFUSING[0], WEB_6),
    "IPv6 refuses, IPv4 answers": (WEB, REFUSING[4]),
    "IPv4 is silent, IPv6 answers": (SILENT[0], WEB_6),
    "IPv6 is silent, IPv4 answers": (WEB, SILENT[4]),
    "no route to IPv4, IPv6 answers": (UNROUTED[0], WEB_6),
    "no route to IPv6, IPv4 answers": (WEB, UNROUTED[1]),
    "one refuses, one answers": (REFUSING[0], WEB),
    "one is silent, one answers": (SILENT[0], WEB),
    "four refuse, a fifth answers": (*REFUSING[:4], WEB),
    "four are silent, a fifth answers": (*SILENT[:4], WEB),
    "one refuses, one is silent, one answers": (REFUSING[0], SILENT[0], WEB),
    "a mapped public address": ("::ffff:20.0.0.1",),
    "DNS64: IPv4 and its NAT64 address": (WEB, NAT64),
    "DNS64: the NAT64 address alone": (NODATA, Reply((NAT64,))),
    "IPv4, and SERVFAIL for IPv6": (A, SERVFAIL),
    "IPv4, and REFUSED for IPv6": (A, REFUSED),
    "IPv4, and no such name for IPv6": (A, NXDOMAIN),
    "IPv6, and SERVFAIL for IPv4": (SERVFAIL, AAAA),
    "an alias of a host": (Reply((WEB,), ("host.situations.net",)), NODATA),
    "cut short over UDP, whole over TCP": (Lie(A, "truncated over UDP"), NODATA),
    "the first packet is lost": (Lie(A, "lost at first"), AAAA),
}


def _host(
    name: str, reference: str, ours: str, *answers: str | Answering, because: str = ""
) -> Situation:
    return Situation(name, reference, ours, because, file=Page(), addresses={"$handle": answers})


SITUATIONS: tuple[Situation, ...] = (
    *(_host(name, ACCOUNT, ACCOUNT, *answers) for name, answers in FOUND.items()),
    *(_host(name, ACCOUNT, NO, address, because="addresses") for name, address in SPECIAL.items()),
    *(_host(name, NONE, NO, address) for name, address in UNREACHABLE.items()),
    _host(
        "a private address beside a public one", ACCOUNT, NO, "10.0.0.1", WEB, because="addresses"
    ),
    _host("loopback in IPv6 beside a public address", ACCOUNT, NO, WEB, "::1", because="addresses"),
    _host(
        "a public address beside a private one behind NAT64",
        ACCOUNT,
        NO,
        WEB,
        "64:ff9b::a00:1",
        because="addresses",
    ),
    _host(
        "an alias of a host with a private address",
        ACCOUNT,
        NO,
        Reply(("10.0.0.1",), ("host.situations.net",)),
        NODATA,
        because="addresses",
    ),
    _host(
        "eight addresses have no route, a ninth answers",
        ACCOUNT,
        DEAD,
        *(f"20.77.0.{number}" for number in range(1, 9)),
        WEB,
        because="limits",
    ),
    _host(
        "70 addresses",
        ACCOUNT,
        "PlatformUnavailable(dns_too_many_answers)",
        WEB,
        *(f"20.77.0.{n}" for n in range(1, 70)),
        because="limits",
    ),
    _host("IPv4, and silence for IPv6", NONE, ACCOUNT, A, NEVER, because="one family"),
    _host("no address", NONE, NO, NODATA, NODATA),
    _host("no such name", NONE, NO, NXDOMAIN, NXDOMAIN),
    _host("an alias of nothing", NONE, NO, *[Reply((), ("nothing.situations.net",), NO_NAME)] * 2),
    _host("SERVFAIL for both", NONE, DNS, SERVFAIL, SERVFAIL),
    _host("silence for both", NONE, NO_DNS, NEVER, NEVER),
    _host("all refuse", NONE, DEAD, *REFUSING),
    _host("all are silent", NONE, LATE, *SILENT),
    _host("no route to any", NONE, DEAD, *UNROUTED),
)
