"""Trust: by role, for that role's calls alone, and for no rule but scheme, port and address."""

from collections.abc import Iterable
from typing import Any

import httpcore
import pytest

from service.app.startup import egress_context
from service.domain.errors import InvalidCredentials, PlatformUnavailable
from service.domain.model import Account, Credentials
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.egress.dns import NameNotPublic
from service.platforms.egress.egress import Egress, Roots
from service.platforms.egress.origin import Origin
from service.settings import Settings

from .bluesky_login import CREDENTIALS, DID, HANDLE, PASSWORD
from .internet import WEB, Internet, StoppedClock, document
from .raw import RawServer, respond

RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"
CREATE = "/xrpc/com.atproto.server.createSession"
HOST = "pds.example.com"
HTTPS = Origin("https", HOST, 443)


async def test_a_directory_is_not_an_account_server(internet: Internet) -> None:
    """A document cannot send a password to the directory that it comes from."""
    internet.handle(HANDLE, DID)
    internet.document(DID, HANDLE, internet.plc.origin)
    await forbidden(internet, BlueskyPlatform(internet.context()))
    assert internet.plc.times(CREATE) == 0


async def test_a_handle_resolver_is_not_an_account_server(
    internet: Internet, raw: RawServer
) -> None:
    """Nor to the resolver that was asked for the handle."""
    raw.on(RESOLVE, respond({"did": DID}))
    internet.document(DID, HANDLE, raw.origin)
    await forbidden(internet, BlueskyPlatform(internet.context(resolver=raw)))
    assert raw.times(CREATE) == 0


@pytest.mark.parametrize("other", ["http://127.0.0.1:1", "https://127.0.0.1", "http://localhost"])
async def test_trust_is_of_one_origin(internet: Internet, raw: RawServer, other: str) -> None:
    """Another port, scheme or name of the same machine is another origin."""
    internet.handle(HANDLE, DID)
    platform = BlueskyPlatform(internet.context(trusted=(raw.origin,)))
    internet.document(DID, HANDLE, other)
    await forbidden(internet, platform)
    internet.document(DID, HANDLE, raw.origin)
    assert (await platform.identify(CREDENTIALS)).origin == raw.origin
    assert raw.connections == 0


async def test_an_account_server_is_not_trusted_for_documents_or_handles(
    internet: Internet,
) -> None:
    """A web DID's host and a handle's host keep to the rules, though their origin is trusted as an
    account server."""
    platform = BlueskyPlatform(internet.context(trusted=(f"https://{HANDLE}",)))
    internet.dns.say(HANDLE, "A", "127.0.0.1")
    internet.web.on("/.well-known/atproto-did", respond(DID))
    assert await why(platform) == "handle_not_found"
    internet.handle(HANDLE, f"did:web:{HANDLE}")
    assert await why(platform) == "forbidden_address"
    assert internet.dialled == []


async def test_without_trust_a_login_goes_nowhere_near_loopback(
    internet: Internet, raw: RawServer
) -> None:
    """Though the account that was identified names a server that was trusted then."""
    account = Account(DID, HANDLE, raw.origin)
    with pytest.raises(PlatformUnavailable) as caught:
        await BlueskyPlatform(internet.context()).log_in(CREDENTIALS, account)
    assert caught.value.why == "forbidden_origin"
    assert raw.connections == 0


@pytest.fixture
def machines_own_names(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names as the machine resolves them, for what is trusted, lead to the web server."""

    class Everywhere(httpcore.AnyIOBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore.AsyncNetworkStream:
            return await super().connect_tcp("127.0.0.1", internet.web.port, timeout)

    monkeypatch.setattr(httpcore, "AnyIOBackend", Everywhere)


async def test_a_trusted_connection_is_not_used_for_an_untrusted_document(
    internet: Internet, machines_own_names: None
) -> None:
    """It stays open, and the same origin is still resolved, checked and connected to again."""
    internet.web.on("/", respond("hello"))
    egress = Egress(internet.names, Roots(proxy=internet.authority.roots), internet.dial)
    for _ in range(2):
        await egress.get(HTTPS, "/", trusted=True)
    assert (internet.web.connections, internet.web.times("/")) == (1, 2)
    internet.dns.say(HOST, "A", "127.0.0.1")
    with pytest.raises(NameNotPublic):
        await egress.get(HTTPS, "/")
    assert (internet.web.connections, internet.web.times("/")) == (1, 2)
    internet.dns.say(HOST, "A", WEB)
    await egress.get(HTTPS, "/")
    assert (internet.web.connections, internet.web.times("/")) == (2, 3)
    await egress.close()


async def test_a_connection_of_a_guarded_role_is_not_used_for_a_trusted_one(
    internet: Internet, machines_own_names: None
) -> None:
    """Nor the other way round."""
    internet.site(HOST, "/", respond("hello"))
    egress = Egress(internet.names, Roots(proxy=internet.authority.roots), internet.dial)
    for _ in range(2):
        await egress.get(HTTPS, "/")
    await egress.get(HTTPS, "/", trusted=True)
    assert (internet.web.connections, internet.web.times("/")) == (2, 3)
    await egress.close()


async def test_trust_lifts_no_rule_on_certificates(
    internet: Internet, machines_own_names: None, public_authority: Any
) -> None:
    """A trusted https origin has to prove its name like any other."""
    internet.web.on("/", respond("hello"))
    egress = Egress(internet.names, Roots(private=public_authority.roots), internet.dial)
    with pytest.raises(PlatformUnavailable):
        await egress.get(HTTPS, "/", trusted=True)
    await egress.close()
    assert internet.web.requests == []


async def test_private_roots_vouch_for_trusted_origins_alone(
    internet: Internet, machines_own_names: None
) -> None:
    """Not for a public name, nor for the public directory, though that is trusted in its role."""
    internet.site(HOST, "/", respond("hello"))
    directory = Origin("https", "plc.directory", 443)
    internet.web.on("plc.directory/", respond("hello"))
    roots = Roots(private=internet.authority.roots, public=frozenset({directory}))
    egress = Egress(internet.names, roots, internet.dial)
    await egress.get(HTTPS, "/", trusted=True)
    for origin, trusted in ((HTTPS, False), (directory, True)):
        with pytest.raises(PlatformUnavailable) as caught:
            await egress.get(origin, "/", trusted=trusted)
        assert caught.value.why == "certificate_not_trusted"
    assert internet.web.times("/") == 1
    await egress.close()


async def test_a_proxy_s_roots_vouch_for_every_origin(
    internet: Internet, machines_own_names: None
) -> None:
    """Beside private ones, too."""
    internet.site(HOST, "/", respond("hello"))
    directory = Origin("https", "plc.directory", 443)
    internet.web.on("plc.directory/", respond("hello"))
    roots = Roots(None, internet.authority.roots, frozenset({directory}))
    egress = Egress(internet.names, roots, internet.dial)
    for origin, trusted in ((HTTPS, False), (HTTPS, True), (directory, True)):
        assert (await egress.get(origin, "/", trusted=trusted)).content == b"hello"
    await egress.close()


@pytest.mark.parametrize(
    ("plc_url", "public"),
    [("https://plc.directory", True), ("https://plc.corp.example", False)],
)
async def test_the_public_directory_keeps_to_public_roots(
    internet: Internet, machines_own_names: None, plc_url: str, public: bool
) -> None:
    """By the settings: also where its name is written out; a directory of one's own does not."""
    internet.web.on("/", respond("hello"))
    environ = {"EGRESS_CA_FILE": str(internet.authority.roots), "PLC_URL": plc_url}
    settings = Settings.read({f"POSTCORE_{name}": value for name, value in environ.items()})
    way_out = egress_context(settings, StoppedClock(), internet.tasks.spawn)
    answered = True
    try:
        await way_out.egress.get(way_out.directory, "/", trusted=True)
    except PlatformUnavailable:
        answered = False
    assert answered is not public
    await way_out.egress.close()


async def test_trust_lifts_no_rule_on_names(internet: Internet, raw: RawServer) -> None:
    """`.test` handles need a resolver that was set: without one they are no handles."""
    credentials = Credentials(handle="alice.test", appPassword=PASSWORD)
    with pytest.raises(InvalidCredentials):
        BlueskyPlatform(internet.context(trusted=(raw.origin,))).tidy(credentials)
    assert BlueskyPlatform(internet.context(resolver=raw)).tidy(credentials) == credentials


async def test_an_account_server_trusted_and_public_is_reached_in_the_way_of_its_role(
    internet: Internet, raw: RawServer
) -> None:
    """The account names where the password goes; nothing else about it is believed."""
    internet.handle(HANDLE, DID)
    internet.plc.on(f"/{DID}", respond(document(DID, HANDLE, f"https://{HOST}")))
    account = await BlueskyPlatform(internet.context(trusted=(raw.origin,))).identify(CREDENTIALS)
    assert account.origin == f"https://{HOST}"
    assert raw.connections == 0


async def forbidden(internet: Internet, platform: BlueskyPlatform) -> None:
    assert await why(platform) == "forbidden_origin"
    assert internet.dialled == []


async def why(platform: BlueskyPlatform) -> str:
    with pytest.raises((PlatformUnavailable, InvalidCredentials)) as caught:
        await platform.identify(CREDENTIALS)
    return caught.value.why
