"""Spellings of addresses and names that outside input must not make the service connect to."""

ADDRESSES = (
    # this network, private, shared, loopback, link-local with the clouds' metadata
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254"),
    *("127.0.0.1", "127.1.2.3", "127.255.255.255", "169.254.169.254", "169.254.170.2"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"),
    # protocols, documentation, relays, benchmarks, multicast, reserved, broadcast
    *("192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    "255.255.255.255",
    # unspecified, loopback; IPv4 mapped, compatible, translated
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1"),
    *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
    # 6to4, Teredo, ORCHID, documentation, discard, segment routing
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:53aa:64c::80ff:fffe", "2001:10::1"),
    *("2001:20::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    # unique local, link-local, site-local, multicast
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1"),
)
"""Addresses of which none is public."""

INNER_NAMES = {
    "localhost": "127.0.0.1",
    "localhost.localdomain": "127.0.0.1",
    "x.localhost": "127.0.0.1",
    "printer.local": "192.168.0.9",
    "metadata.google.internal": "169.254.169.254",
    "metadata": "169.254.169.254",
    "db.corp": "10.0.0.5",
    "127.0.0.1.nip.io": "127.0.0.1",
    "xn--localhost-5g0d.com": "127.0.0.1",
}
"""Names, with the addresses that the name server returns for them."""

HOSTS = (
    # IPv4: dotted, short, octal, hexadecimal, decimal, too long, with a last dot
    *("127.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1", "0x7f.1"),
    *("0x7f000001", "017700000001", "2130706433", "0", "0.0.0.0", "127.0.0.1.", "169.254.169.254"),
    *("0xa9fea9fe", "2852039166", "10.0.0.1", "4294967297", "127.000.000.001", "1.2.3"),
    # IPv6, with and without brackets, a zone, and IPv4 in it
    *("[::1]", "::1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[fe80::1%25eth0]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fd00:ec2::254]"),
    # digits, dots and letters that some libraries normalize to ASCII
    *(
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "１２７.0.0.1",
        "ⓛocalhost",
        "loc\u212alhost",
        "lo\u00adcalhost",
    ),
    # names of a machine or a network, with and without a last dot
    *INNER_NAMES,
    *("localhost.", "LOCALHOST", "printer.local.", "metadata.google.internal."),
    # a valid host combined with another one that some URL parsers may pick
    *("good.example.com@127.0.0.1", "127.0.0.1@good.example.com", "good.example.com:443@127.0.0.1"),
    *("good.example.com#@127.0.0.1", "good.example.com\\@127.0.0.1", "good.example.com%00.local"),
    *("good.example.com/../127.0.0.1", "good.example.com?@127.0.0.1", "127.0.0.1%2f@example.com"),
    *("good.example.com:8443", "good.example.com:80", "good.example.com:0", "127.0.0.1:443"),
    *("good.example.com\t", "good.example.com\r\nhost: 127.0.0.1", "good.example.com."),
)
"""Hosts of a URL, of a did:web, or handles; `good.example.com` is public and listens."""

URLS = (
    *(
        "http://good.example.com",
        "http://127.0.0.1",
        "ftp://good.example.com",
        "file:///etc/passwd",
    ),
    *("gopher://127.0.0.1:6379/_", "https:127.0.0.1", "//127.0.0.1", "https://", "HTTPS://127.1"),
    *("unix:///var/run/docker.sock", "https://good.example.com/xrpc/../../", "javascript:1"),
    *(
        "https:///127.0.0.1",
        "https:\\\\127.0.0.1",
        "http+unix://%2Fvar%2Frun%2Fx",
        " https://127.1",
    ),
    *("https://good.example.com//127.0.0.1/", "https://[", "https://]", ""),
)
"""Complete service endpoints of a DID document."""
