"""Places: the addresses of the test network, all on the loopback device of its namespace."""

NAME_SERVER = "20.0.0.53"
SECOND_NAME_SERVER = "20.0.0.54"
NAME_SERVER_6 = "2a00:20::53"
SILENT_NAME_SERVER = "20.0.0.55"
"""Takes questions and never answers."""
DIRECTORY = "plc.situations.net"
WEB = "20.0.0.1"
"""An address with servers on ports 80, 443 and 8443."""
WEB_6 = "2a00:20::1"
LISTENING = (
    WEB,
    WEB_6,
    "20.0.0.2",
    "64:ff9b::1400:1",  # NAT64 of 20.0.0.1
    "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
    "64:ff9b:1::1400:1",  # the same by a prefix for local use
    "64:ff9b:1::a00:1",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.7.1",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.7.1",
    "198.18.0.1",
    "::1",
    "2001::1400:1",  # Teredo
    "2001:db8::1",
    "2002:1400:1::1",  # 6to4 of 20.0.0.1
    "fc00::1",
)
"""Addresses with a web server on port 443."""
SILENT = ("20.0.0.80", "20.0.0.81", "20.0.0.82", "20.0.0.83", "2a00:20::80", "2a00:20::81")
"""Addresses that drop what is sent to them: a connection to them times out."""
REFUSING = ("20.0.0.90", "20.0.0.91", "20.0.0.92", "20.0.0.93", "2a00:20::90", "2a00:20::91")
"""Addresses where nothing listens: a connection to them is refused."""
UNROUTED = ("20.66.0.1", "2a00:66::1")
"""Addresses that there is no route to."""
NAME_SERVERS = (NAME_SERVER, SECOND_NAME_SERVER, NAME_SERVER_6, SILENT_NAME_SERVER)
ALL = (*LISTENING, *SILENT, *REFUSING, *NAME_SERVERS)
