"""Finding a site: redirects are followed without a credential, and by no other call."""

import pytest

from service.domain.errors import PlatformUnavailable

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


async def test_a_call_follows_none(internet: Internet, trap: RawServer) -> None:
    """Whatever it carries: the redirect is an error."""
    internet.site("a.example.com", "/", redirect(f"{trap.origin}/"))
    context = internet.context(trusted=(trap.origin,))
    with pytest.raises(PlatformUnavailable) as caught:
        await context.call("GET", "https://a.example.com/", headers={"authorization": "Basic x"})
    assert caught.value.why == "redirect"
