"""Finding a site: redirects are followed without a credential, and by no other call."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.domain.errors import InvalidCredentials, PlatformUnavailable
from service.domain.model import Credentials, InvalidCredentialsCause, PlatformUnavailableCause
from service.domain.platform import CredentialPlatform
from service.platforms.egress.context import EgressContext
from service.platforms.egress.origin import Origin
from service.platforms.ghost.adapter import GhostPlatform
from service.platforms.mastodon.adapter import MastodonPlatform
from service.platforms.wordpress.adapter import WordPressPlatform

from .dns_server import SERVFAIL
from .internet import Internet
from .raw import RawServer, respond


def redirect(target: str) -> bytes:
    return f"HTTP/1.1 301 Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode()


async def test_redirects_are_followed(internet: Internet) -> None:
    """Three of them, to other hosts too; the result says where they ended."""
    for index, target in enumerate(("b.example.com/1", "c.example.com/2", "d.example.com/3")):
        path = f"/{index}"
        internet.site(f"{'abc'[index]}.example.com", path, redirect(f"https://{target}"))
    internet.site("d.example.com", "/3", respond({"here": True}))
    url, response = await internet.context().find("https://a.example.com/0")
    assert (url, response.json()) == ("https://d.example.com/3", {"here": True})


async def test_a_loop_ends(internet: Internet) -> None:
    """After three redirects."""
    internet.site("a.example.com", "/", redirect("/"))
    with pytest.raises(PlatformUnavailable) as caught:
        await internet.context().find("https://a.example.com/")
    assert caught.value.why == "redirect"
    assert internet.web.times("/") == 4


@pytest.mark.parametrize(
    "target",
    ["http://b.example.com/", "https://10.0.0.1/", "https://a:b@b.example.com/", "ftp://b"],
)
async def test_a_redirect_that_is_not_allowed(internet: Internet, target: str) -> None:
    """Each hop is held to the rules of the first."""
    internet.site("a.example.com", "/", redirect(target))
    internet.site("b.example.com", "/", respond({}))
    with pytest.raises(PlatformUnavailable):
        await internet.context().find("https://a.example.com/")
    assert internet.web.times("/") == 1


CREDENTIALS = Credentials(
    site="a.example.com",
    handle="@alice@a.example.com",
    username="alice",
    appPassword="x" * 24,
    accessToken="x" * 43,
    apiKey=f"{'0' * 24}:{'0' * 64}",
)


@pytest.mark.parametrize("is_private", [False, True], ids=["unknown", "private"])
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (WordPressPlatform, InvalidCredentialsCause.SITE_NOT_FOUND),
        (GhostPlatform, InvalidCredentialsCause.SITE_NOT_FOUND),
        (MastodonPlatform, InvalidCredentialsCause.HANDLE_NOT_FOUND),
    ],
)
async def test_a_name_that_does_not_exist(
    internet: Internet,
    make: Callable[[EgressContext], CredentialPlatform],
    cause: InvalidCredentialsCause,
    is_private: bool,
) -> None:
    """Is a mistake of the person's. A private name has the same error: it reveals nothing."""
    if is_private:
        internet.dns.say("a.example.com", "A", "10.0.0.1")
    platform = make(internet.context())
    with pytest.raises(InvalidCredentials) as caught:
        await platform.identify(platform.tidy(CREDENTIALS))
    assert caught.value.cause is cause
    assert internet.dialled == []


async def test_name_servers_that_fail(internet: Internet) -> None:
    """Prove nothing of a site."""
    internet.dns.say("a.example.com", "A", SERVFAIL)
    platform = WordPressPlatform(internet.context())
    with pytest.raises(PlatformUnavailable) as caught:
        await platform.identify(platform.tidy(CREDENTIALS))
    assert caught.value.cause is PlatformUnavailableCause.DNS_FAILURE


async def test_a_call_follows_none(internet: Internet, trap: RawServer) -> None:
    """Whatever it carries: the redirect is an error."""
    internet.site("a.example.com", "/", redirect(f"{trap.origin}/"))
    context = internet.context(trusted=(trap.origin,))
    with pytest.raises(PlatformUnavailable) as caught:
        await context.call("GET", "https://a.example.com/", headers={"authorization": "Basic x"})
    assert caught.value.why == "redirect"


async def test_a_platform_with_one_host(internet: Internet, raw: RawServer) -> None:
    """Its stand-in is reached instead, if one is set; no other platform's requests go there."""
    raw.on("/me", respond({"here": True}))
    origins = {"one": Origin.parse(raw.origin)}
    context = replace(internet.context(), platform_origins=origins)
    assert context.fixed_origin("two", "https://two.example") == "https://two.example"
    origin = context.fixed_origin("one", "https://one.example")
    assert origin == raw.origin
    assert (await context.call("GET", f"{origin}/me")).json() == {"here": True}
    with pytest.raises(PlatformUnavailable):
        await internet.context().call("GET", f"{origin}/me")


@pytest.mark.parametrize("host", ["0177.0.0.1", "127.1127.1.9"])
@pytest.mark.parametrize("make", [WordPressPlatform, GhostPlatform])
async def test_a_host_that_only_looks_like_an_address(
    internet: Internet, make: Callable[[EgressContext], CredentialPlatform], host: str
) -> None:
    """Is not reached, as an address is not; also if only a dot at its end makes it a name."""
    platform = make(internet.context())
    for site in (host, f"{host}."):
        with pytest.raises((PlatformUnavailable, InvalidCredentials)):
            await platform.identify(platform.tidy(Credentials({**CREDENTIALS, "site": site})))
    assert internet.dialled == []
