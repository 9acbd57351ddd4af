"""Origins: what a document may name as a server, and what becomes of it."""

import pytest

from service.domain.errors import PlatformUnavailable
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.egress.origin import Origin

from .bluesky_login import CREDENTIALS, DID, HANDLE
from .internet import WEB, Internet
from .raw import RawServer

NO_ORIGINS = (
    "",
    "https",
    "https://",
    "https:///xrpc",
    "//pds.example.com",
    "pds.example.com",
    "https:/pds.example.com",
    "https:pds.example.com",
    "ftp://pds.example.com",
    "file:///etc/passwd",
    "ws://pds.example.com",
    "javascript://pds.example.com",
    "https://user@pds.example.com",
    "https://user:secret@pds.example.com",
    "https://pds.example.com@evil.example",
    "https://pds.example.com/xrpc",
    "https://pds.example.com//",
    "https://pds.example.com/?",
    "https://pds.example.com?a=b",
    "https://pds.example.com#a",
    "https://pds.example.com\\@evil.example",
    "https://pds.example.com:",
    "https://pds.example.com:0",
    "https://pds.example.com:65536",
    "https://pds.example.com:443:443",
    "https://pds.example.com:-1",
    "https://pds.example.com:４４３",
    "https://pds.example.com ",
    " https://pds.example.com",
    "https://pds.example.com\n",
    "https://pds.exa\tmple.com",
    "https://pds.example.com\x00",
    "https://pds%2eexample.com",
    "https://bücher.example.com",
    "https://ｐｄｓ.example.com",
    "https://pds。example.com",
    "https://bs\u212ay.example.com",
    "https://[::1",
    "https://::1",
    "https://[fe80::1%25eth0]",
)
FORBIDDEN = (
    "http://pds.example.com",
    "http://pds.example.com:443",
    "https://pds.example.com:80",
    "https://pds.example.com:8443",
    "https://pds.example.com:22",
    "https://pds.example.com.",
    "https://.pds.example.com",
    "https://pds..example.com",
    "https://pds_1.example.com",
    "https://-pds.example.com",
    "https://pds-.example.com",
    f"https://{'a' * 64}.example.com",
    f"https://{'a.' * 125}example",
    "https://localhost",
    "https://LOCALHOST",
    "https://localhost.",
    "https://pds",
    "https://com",
    "https://127.0.0.1",
    "https://93.184.216.34",
    "https://2130706433",
    "https://0x7f000001",
    "https://017700000001",
    "https://0177.0.0.1",
    "https://0x7f.0.0.1",
    "https://127.1",
    "https://127.0.1",
    "https://127.0.0.0x1",
    "https://0",
    "https://127.0.0.1.",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[2606:4700:4700::1111]",
)
USUAL = (
    "https://pds.example.com",
    "https://pds.example.com/",
    "https://pds.example.com:443",
    "https://pds.example.com:443/",
    "https://pds.example.com:0443",
    "HTTPS://PDS.Example.COM",
)


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """Only scheme, host and port, in ASCII, are an origin."""
    with pytest.raises(ValueError, match=r"^not an? (origin|port)$"):
        Origin.parse(text)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_only_https_on_443_to_a_domain_name_is_anybodys(text: str) -> None:
    """Other schemes and ports, bare addresses in any spelling and dotless names are not."""
    assert not Origin.parse(text).is_public_https


@pytest.mark.parametrize("text", USUAL)
def test_an_origin_has_one_spelling(text: str) -> None:
    """Capitals, the usual port and a last slash make no difference."""
    origin = Origin.parse(text)
    assert origin == Origin("https", "pds.example.com", 443)
    assert origin.is_public_https
    assert str(origin) == "https://pds.example.com"


@pytest.mark.parametrize("text", ["http://127.0.0.1:2583", "https://[::1]:8443", "http://pds"])
def test_an_origin_is_written_as_it_was_read(text: str) -> None:
    """What the operator trusts keeps its scheme, its port and its brackets."""
    assert str(Origin.parse(text)) == text
    assert Origin.parse(str(Origin.parse(text))) == Origin.parse(text)


async def test_a_document_leads_to_no_such_server(internet: Internet) -> None:
    """Such an endpoint is refused before the password is needed, and nothing is connected to."""
    internet.handle(HANDLE, DID)
    for name in ("pds.example.com", "evil.example", "localhost"):
        internet.dns.say(name, "A", WEB)
    for endpoint in (*NO_ORIGINS, *FORBIDDEN):
        internet.document(DID, HANDLE, endpoint)
        with pytest.raises(PlatformUnavailable) as caught:
            await BlueskyPlatform(internet.context()).identify(CREDENTIALS)
        assert caught.value.why == "forbidden_origin", endpoint
        assert caught.value.retry_after is None
    assert internet.dialled == []
    assert {name for name, _, _ in internet.dns.asked} == {f"_atproto.{HANDLE}"}


async def test_a_document_leads_to_no_port_of_this_machine(
    internet: Internet, trap: RawServer
) -> None:
    """A server that listens on loopback is not reached, however it is named."""
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "127.1", "0x7f000001"):
        for scheme in ("http", "https"):
            internet.handle(HANDLE, DID)
            internet.document(DID, HANDLE, f"{scheme}://{host}:{trap.port}")
            with pytest.raises(PlatformUnavailable):
                await BlueskyPlatform(internet.context()).identify(CREDENTIALS)
