"""The connect page against misuse: forged and ended links, foreign forms, floods, races."""

import asyncio
import re
from collections import Counter
from urllib.parse import urlsplit

import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.links import MAX_TRIES, TenantPage
from service.domain.model import Scope
from service.platforms.registry import ADAPTERS
from service.sandbox.faults import Hang
from service.transport.http.edge import common_headers
from tests.support import sharing
from tests.support.bluesky import CREATE, SandboxBluesky
from tests.support.running import Running
from tests.transport.http.edge import Wire
from tests.transport.page.visitor import LONG, ORIGIN, Page, Visitor, make_link, register

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

CARDS = {adapter.card.platform: adapter.card for adapter in ADAPTERS}  # type: ignore[attr-defined]
WRONG = "wxyz-wxyz-wxyz-wxyz"


@pytest.mark.parametrize("cut", ["forged", "cut", "longer", "empty", "binary"])
async def test_a_token_that_was_never_made_is_unknown(sandboxed: Running, cut: str) -> None:
    """Without a read of the store, and with the same page for all of them."""
    url = await make_link(sandboxed)
    base, token = url.rsplit("/", 1)
    changed = {
        "forged": token[:-30] + ("A" if token[-30] != "A" else "B") + token[-29:],
        "cut": token[:-1],
        "longer": f"{token}A",
        "empty": "-",
        "binary": "%00%ff",
    }[cut]
    async with Visitor.of(f"{base}/{changed}") as visitor:
        page = await visitor.open()
        assert (page.status, page.view) == (404, "ended")
        assert "This link is not valid" in page.text
        assert (await visitor.connect("user.bsky.social", WRONG)).status == 404


@pytest.mark.slow
async def test_a_link_that_ended_says_how(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """Expired, revoked, or of a key or a profile that is gone: no form, and a try connects
    nothing."""
    person = await sandbox.person()
    made = await sandboxed.profiles.CreateProfile(
        pb.CreateProfileRequest(), metadata=sandboxed.metadata()
    )
    named = {"profile_key": made.profile_key}
    metadata = sandboxed.metadata()
    other_key, other_key_id = await sandboxed.new_key(Scope.PROFILES_WRITE)
    urls = {
        "This link is not valid": await make_link(sandboxed, **named),
        "This link has expired": await make_link(sandboxed),
        "This link was withdrawn": await make_link(sandboxed, other_key),
    }
    await sandboxed.profiles.DeleteProfile(
        pb.DeleteProfileRequest(profile_key=made.profile_key), metadata=metadata
    )
    await sandboxed.execute(
        "UPDATE connect_links SET expires_at = created_at WHERE key_id <> ?", other_key_id
    )
    await sandboxed.revoke_key(other_key_id)
    revoked = await sandboxed.profiles.CreateConnectLink(
        pb.CreateConnectLinkRequest(app_name="Example", platform="bluesky"), metadata=metadata
    )
    await sandboxed.profiles.RevokeConnectLink(
        pb.RevokeConnectLinkRequest(link_id=revoked.link_id), metadata=metadata
    )
    for words, url in [*urls.items(), ("This link was withdrawn", revoked.url)]:
        async with Visitor.of(url) as visitor:
            async with asyncio.timeout(LONG):  # a revoked key is known within five seconds
                while (page := await visitor.open()).view != "ended":
                    await asyncio.sleep(0.2)
            assert page.status in (404, 410)
            assert words in page.text
            tried = await visitor.connect(person.handle, person.app_password)
            assert (tried.view, tried.status) == ("ended", page.status)
    assert not sandboxed.rows("SELECT * FROM connections")
    assert CREATE not in await sandbox.counts()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_link_has_a_budget_of_tries_of_its_own(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """Of 10,000 tries with right forms a few reach the platform, and the tenant's calls go on: the
    limit of its key is not touched."""
    person = await sandbox.person()
    url = await make_link(sandboxed)
    await sandboxed.execute("UPDATE connect_links SET tries = ?", MAX_TRIES - 2)
    body = f"platform=bluesky&handle=nobody.test&appPassword={WRONG}"
    tried = (
        f"POST {urlsplit(url).path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\n\r\n{body}"
    )
    seen: Counter[int] = Counter()

    async def some() -> None:
        async with Wire.to(sandboxed.http) as wire:
            for _ in range(500):
                await wire.send(tried)
                status, _ = await wire.answer()
                seen[status] += 1

    await asyncio.gather(*(some() for _ in range(20)))
    assert seen[410] >= 9_900
    assert seen[410] + seen[422] == 10_000
    assert sandboxed.rows("SELECT tries FROM connect_links") == [{"tries": MAX_TRIES}]
    refusals = sandboxed.rows("SELECT * FROM audit WHERE method = 'ConnectByLink'")
    assert len(refusals) <= 2
    connected = await sandboxed.connect(person.handle, person.app_password, timeout=LONG)
    assert connected.username == person.handle
    async with Visitor.of(url) as visitor:
        page = await visitor.open()
    assert (page.status, page.view) == (410, "ended")
    assert "too many tries" in page.text


async def test_two_tabs_use_a_link_once(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """The same entries at once cost one login and make one profile; other entries meanwhile are
    asked to wait."""
    person, other = await sandbox.person(), await sandbox.person()
    url = await make_link(sandboxed)
    sandbox.server.breakages.add(Hang(), method="createSession")
    async with Visitor.of(url) as one, Visitor.of(url) as two, Visitor.of(url) as three:
        first = asyncio.create_task(one.connect(person.handle, person.app_password))
        async with asyncio.timeout(LONG):
            while CREATE not in await sandbox.counts():
                await asyncio.sleep(0.02)
        second = asyncio.create_task(two.connect(person.handle, person.app_password))
        page = await three.connect(other.handle, other.app_password)
        sandbox.server.breakages.clear()
        pages = await asyncio.gather(first, second)
    if pages[0].view == "done":  # else the machine was so slow that its time was over
        assert "Another try with this link is under way" in page.text
    assert {page.view for page in pages} <= {"done", "form"}
    assert len(sandboxed.rows("SELECT * FROM profiles")) <= 1


async def test_what_stands_around_the_page_protects_it(sandboxed: Running) -> None:
    """A policy with nonces that differ each time, no cookie, no referrer, no store; framed only by
    registered origins. Names with markup are shown as text."""
    name = "<script>alert(1)</script>\"'&"
    url = await make_link(sandboxed, app_name=name)
    async with Visitor.of(url) as visitor:
        one, two = await visitor.open(), await visitor.open()
        assert f"{name} asks to connect" in one.text
        nonces = [page.policy["script-src"] for page in (one, two)]
        assert nonces[0] != nonces[1]
        assert one.policy["style-src"] == nonces[0]
        assert one.policy["default-src"] == one.policy["base-uri"] == "'none'"
        assert one.policy["form-action"] == "'self'"
        assert one.policy["frame-ancestors"] == "'none'"
        assert set(re.findall(r'<(?:script|style)[^>]*nonce="([^"]+)"', one.html)) == {
            nonces[0].removeprefix("'nonce-").removesuffix("'")
        }
        assert not re.search(r"<[^>]* (?:style|on\w+)=|https?://(?!bsky\.app)", one.html)
        assert url.rsplit("/", 1)[1] not in one.html
        for page in (one, two):
            assert page.headers["referrer-policy"] == "no-referrer"
            assert page.headers["cache-control"] == "no-store"
            assert "set-cookie" not in page.headers
            assert common_headers("").keys() <= page.headers.keys()
        await register(sandboxed, TenantPage(origins=(ORIGIN, "http://localhost:3000")))
        framed = (await visitor.open()).policy["frame-ancestors"]
        assert framed == f"{ORIGIN} http://localhost:3000"


async def test_a_form_from_elsewhere_is_refused(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """By what the browser says of where it was sent; it connects nothing."""
    person = await sandbox.person()
    async with Visitor.of(await make_link(sandboxed)) as visitor:
        for headers in (
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"sec_fetch_site": "none"},
            {"origin": "https://evil.test"},
            {"origin": f"http://{sandboxed.http}.evil.test"},
        ):
            page = await visitor.send(
                {"handle": person.handle, "appPassword": person.app_password}, **headers
            )
            assert (page.status, page.view) == (403, "ended"), headers
    assert not sandboxed.rows("SELECT * FROM connections")


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("application/x-www-form-urlencoded", b"a" * 1_000_000, 413),
        ("application/x-www-form-urlencoded", b"handle=" + b"a" * 20_000, 413),
        ("application/x-www-form-urlencoded", b"handle=a&handle=b", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"a%d=1" % n for n in range(99)]), 400),
        ("application/x-www-form-urlencoded", b"handle=%ff", 400),
        ("application/x-www-form-urlencoded", b"\xff", 400),
        ("application/x-www-form-urlencoded", b"handle", 400),
        ("application/x-www-form-urlencoded", b"", 422),
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded; charset=utf-16", b"", 415),
    ],
)
async def test_a_form_of_another_kind_is_refused(
    sandboxed: Running, kind: str, content: bytes, status: int
) -> None:
    """Too large, malformed or of another type: with a page, and the link stays open."""
    url = await make_link(sandboxed)
    async with Visitor.of(url) as visitor:
        answer = await visitor.client.post(url, content=content, headers={"content-type": kind})
        page = Page(answer)
        assert page.status == status
        assert page.view == ("form" if status == 422 else "ended")
        assert (await visitor.open()).view == "form"


async def test_a_link_of_another_tenant_connects_for_that_tenant_alone(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """Its token decides, not what else is sent."""
    person = await sandbox.person()
    other = await sandboxed.new_tenant()
    key, _ = await sandboxed.new_key(Scope.PROFILES_WRITE, tenant_id=other)
    url = await make_link(sandboxed, key)
    async with Visitor.of(url) as visitor:
        page = await visitor.send(
            {"handle": person.handle, "appPassword": person.app_password},
            x_api_key=sandboxed.api_key,
        )
        assert page.view == "done"
    [row] = sandboxed.rows("SELECT tenant_id FROM connections")
    assert row["tenant_id"] == other


async def test_a_link_revoked_during_a_try_connects_nothing(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """The session that the platform opened is ended."""
    person = await sandbox.person()
    metadata = sandboxed.metadata()
    made = await sandboxed.profiles.CreateConnectLink(
        pb.CreateConnectLinkRequest(app_name="Example", platform="bluesky"), metadata=metadata
    )
    sandbox.server.breakages.add(Hang(), method="createSession")
    async with Visitor.of(made.url) as visitor:
        trying = asyncio.create_task(visitor.connect(person.handle, person.app_password))
        async with asyncio.timeout(LONG):
            while CREATE not in await sandbox.counts():
                await asyncio.sleep(0.02)
        await sandboxed.profiles.RevokeConnectLink(
            pb.RevokeConnectLinkRequest(link_id=made.link_id), metadata=metadata
        )
        sandbox.server.breakages.clear()
        page = await trying
    assert (page.status, page.view) == (410, "ended")
    assert not sandboxed.rows("SELECT * FROM connections")
    assert not sandboxed.rows("SELECT * FROM profiles")
