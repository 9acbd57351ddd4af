"""The connect page, without script: what it shows, takes and refuses."""

import asyncio
import gzip
import json
import random
import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.connections.links import MAX_LOOKUPS_AT_ONCE, OpenedLink
from service.domain.branding import MAX_LOGO_BYTES, logo_of
from service.domain.errors import InvalidCredentials
from service.domain.links import ConnectLink, LinkState, TenantPage
from service.domain.model import InvalidCredentialsCause, ReconnectReason
from service.platforms.registry import ADAPTERS
from service.transport.page.view import problem_of
from service.transport.page.words import LANGUAGES, Words, catalogue
from tests.support import sharing
from tests.support.bluesky import CREATE, SandboxBluesky
from tests.support.running import Running
from tests.transport.page.visitor import LONG, ORIGIN, Visitor, make_link, register

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

CARDS = {adapter.card.platform: adapter.card for adapter in ADAPTERS}  # type: ignore[attr-defined]
WRONG = "wxyz-wxyz-wxyz-wxyz"


async def test_a_person_connects(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """The form leads to a page that names the account, and back to the app with the profile's key
    and the state; a profile is made. Opened again, the link shows the same, and no form."""
    person = await sandbox.person()
    await register(sandboxed, TenantPage(origins=(ORIGIN,)))
    url = await make_link(sandboxed, return_url=f"{ORIGIN}/back?a=1", state="s=1&t")
    async with Visitor.of(url) as visitor:
        page = await visitor.open()
        assert (page.status, page.view) == (200, "form")
        assert "Example asks to connect your Bluesky account" in page.text
        done = await visitor.connect(f" @{person.handle}\u200b", f"\u200e{person.app_password} ")
        assert (done.status, done.view) == (200, "done")
        [profile] = sandboxed.rows("SELECT * FROM profiles")
        assert f"Example is connected to {person.handle} on Bluesky." in done.text
        [back] = [link for link in done.links if link.startswith(ORIGIN)]
        assert parse_qs(urlsplit(back).query) == {
            "a": ["1"],
            "profileKey": [profile["profile_key"]],
            "platform": ["bluesky"],
            "state": ["s=1&t"],
        }
        assert json.loads(done.main["data-message"]) == {
            "type": "postcore.connected",
            "profileKey": profile["profile_key"],
            "platform": "bluesky",
            "username": person.handle,
            "state": "s=1&t",
        }
        assert done.main["data-origins"] == ORIGIN
        again = await visitor.open()
        assert (again.view, again.inputs) == ("done", {})
        for shown in (page, done, again):
            assert person.app_password not in shown.html
        spent = (await sandbox.counts())[CREATE]
        assert (await visitor.connect(person.handle, person.app_password)).view == "done"
        assert (await sandbox.counts())[CREATE] == spent == 1


@pytest.mark.parametrize("platform", CARDS)
async def test_the_card_is_the_only_source_of_the_form(sandboxed: Running, platform: str) -> None:
    """Each field has its label, placeholder, pattern and help; each step is shown."""
    card = CARDS[platform]
    async with Visitor.of(await make_link(sandboxed, platform=platform)) as visitor:
        page = await visitor.open()
    assert list(page.inputs) == ["platform", *(field.name for field in card.fields)]
    for field in card.fields:
        shown = page.inputs[field.name]
        assert shown["data-pattern"] == field.pattern
        assert shown.get("placeholder", "") == field.placeholder
        assert shown["type"] == ("password" if field.secret else "text")
        assert field.label in page.text
        assert field.help in page.text
    assert all(step in page.text for step in card.instructions)
    assert not card.help_url or card.help_url in page.links


async def test_without_a_platform_the_person_chooses(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """Among those that connect by credentials; then the link connects that one."""
    person = await sandbox.person()
    async with Visitor.of(await make_link(sandboxed, platform="")) as visitor:
        page = await visitor.open()
        assert page.view == "choose"
        assert page.links == [f"?platform={platform}" for platform in sorted(CARDS)]
        assert (await visitor.open("?platform=linkedin")).view == "choose"
        assert (await visitor.open("?platform=bluesky")).view == "form"
        done = await visitor.connect(person.handle, person.app_password)
        assert done.view == "done"


async def test_a_link_connects_its_own_platform_and_profile_only(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """Whatever the form says."""
    person = await sandbox.person()
    made = await sandboxed.profiles.CreateProfile(
        pb.CreateProfileRequest(), metadata=sandboxed.metadata()
    )
    async with Visitor.of(await make_link(sandboxed, profile_key=made.profile_key)) as visitor:
        done = await visitor.connect(
            person.handle, person.app_password, platform="mastodon", profileKey="prof_abc123"
        )
        assert done.view == "done"
    [row] = sandboxed.rows("SELECT profile_key, platform FROM connections")
    assert row == {"profile_key": made.profile_key, "platform": "bluesky"}


async def test_each_cause_has_its_words(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """The handle comes back in the form, the password never; the link stays open. What the form
    alone shows to be wrong spends no try and no login."""
    person = await sandbox.person("main-password-1")
    url = await make_link(sandboxed)
    async with Visitor.of(url) as visitor:
        for handle, password, words in (
            ("", person.app_password, "Enter this: Bluesky handle."),
            (person.handle, "", "Enter this: App password."),
            ("no handle", person.app_password, "This is not a full handle"),
            (person.handle, "main-password-1", "This is not of the form xxxx-xxxx-xxxx-xxxx"),
        ):
            page = await visitor.connect(handle, password)
            assert (page.status, page.view) == (422, "form")
            assert words in page.text
            assert page.inputs["handle"].get("value", "") == handle
        assert sandboxed.rows("SELECT tries FROM connect_links") == [{"tries": 0}]
        for handle, password, status, words in (
            ("nobody.test", WRONG, 422, "This account was not found"),
            (person.handle, WRONG, 422, "Bluesky did not accept this"),
        ):
            page = await visitor.connect(handle, password)
            assert (page.status, page.view) == (status, "form"), page.text
            assert words in page.text
            assert page.inputs["handle"]["value"] == handle
            assert "value" not in page.inputs["appPassword"]
            assert password not in page.html
        sandbox.rate_limit(person)
        page = await visitor.connect(person.handle, person.app_password)
        assert page.status == 429
        assert re.search(r"allows no more logins for now .* Wait \d+ min", page.text)
        assert int(page.headers["retry-after"]) > 0
        assert sandboxed.rows("SELECT tries FROM connect_links") == [{"tries": 3}]
    assert not sandboxed.rows("SELECT * FROM profiles")


async def test_a_password_in_another_field_is_not_shown_again(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """Whether it is that of the form, or looks like one; other typos come back."""
    async with Visitor.of(await make_link(sandboxed)) as visitor:
        for handle, password in ((WRONG, WRONG), (f" {WRONG}", ""), ("my main", "my main")):
            page = await visitor.connect(handle, password)
            assert page.status == 422
            assert handle.strip() not in page.html
        page = await visitor.connect("alice", "my main")
        assert page.inputs["handle"]["value"] == "alice"


async def test_a_handle_is_looked_up_without_a_try(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """A few times; what is malformed, of another platform, of an ended link or sent from elsewhere
    is not known. No login, no try and no row is spent on it."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    async def found(handle: str, url: str = url, **headers: str) -> bool | None:
        own = {"sec-fetch-site": "same-origin"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await visitor.client.post(
            f"{url}/handle", data={"handle": handle}, headers=own | named
        )
        assert answer.status_code == 200
        known: bool | None = answer.json()["found"]
        return known

    async with Visitor.of(url) as visitor:
        assert await found(person.handle) is True
        assert await found(f" @{person.handle.upper()}") is True
        assert await found("nobody.test") is False
        for wrong in ("", "alice", "x" * 301):
            assert await found(wrong) is None
        assert await found(person.handle, sec_fetch_site="cross-site") is None
        assert await found(person.handle, url=f"{url}x") is None
        ghost = await make_link(sandboxed, platform="ghost")
        assert await found(person.handle, url=ghost) is None
        answers = [await found(person.handle) for _ in range(10 * MAX_LOOKUPS_AT_ONCE)]
        assert None in answers
    assert CREATE not in await sandbox.counts()
    assert {row["tries"] for row in sandboxed.rows("SELECT tries FROM connect_links")} == {0}
    assert not sandboxed.rows("SELECT * FROM audit WHERE method = 'FindHandleByLink'")


async def test_a_reconnect_says_what_happened(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """To which account, when and why; its handle is filled in. Another account is refused."""
    person, other = await sandbox.person(), await sandbox.person()
    key = (await sandboxed.connect(person.handle, person.app_password)).profile_key
    async with Visitor.of(await make_link(sandboxed, profile_key=key)) as visitor:
        page = await visitor.open()
        assert f"The account {person.handle} is connected already" in page.text
        await sandbox.revoke(person)
        await sandboxed.execute(
            "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'APP_PASSWORD_REVOKED'"
        )
        page = await visitor.open()
        assert f"Please connect {person.handle} again: on" in page.text
        assert page.inputs["handle"]["value"] == person.handle
        refused = await visitor.connect(other.handle, other.app_password)
        assert "Another account is connected here" in refused.text


async def test_it_speaks_the_readers_language(sandboxed: Running) -> None:
    """That of the link, else of the browser, else English; the texts of a card that have no
    translation are marked as English."""
    async with Visitor.of(await make_link(sandboxed, locale="de-AT")) as visitor:
        page = await visitor.open(accept_language="es")
        assert "Example möchte Ihr Bluesky-Konto verbinden" in page.text
        assert page.headers["content-language"] == "de"
    async with Visitor.of(await make_link(sandboxed, locale="xx")) as visitor:
        page = await visitor.open(accept_language="fr, de;q=0.2, es;q=0.7, *;q=x")
        assert "Example quiere conectar tu cuenta de Bluesky" in page.text
        assert '<html lang="es">' in page.html
        assert '<html lang="en">' in (await visitor.open(accept_language="fr")).html


def test_every_message_is_in_every_language() -> None:
    """With the same values in it; so is every text of a card, and nothing that no card says."""
    fields = [field for card in CARDS.values() for field in card.fields]
    texts = {text for card in CARDS.values() for text in card.instructions}
    texts |= {text for field in fields for text in (field.label, field.help)}
    assert catalogue()["card"].keys() == texts
    for section, messages in catalogue().items():
        for name, said in messages.items():
            if section == "card":
                assert said.keys() == set(LANGUAGES[1:]), name
                continue
            assert said.keys() == set(LANGUAGES), name
            values = {frozenset(re.findall(r"{\w+}", text)) for text in said.values()}
            assert len(values) == 1 or name == "malformed", name


async def test_the_tenants_marks_are_shown(sandboxed: Running) -> None:
    """Its name, logo and colour; nothing of another tenant."""
    logo = "data:image/png;base64,iVBORw0KGgo="
    await register(sandboxed, TenantPage("My company", logo, "#663399"))
    async with Visitor.of(await make_link(sandboxed)) as visitor:
        page = await visitor.open()
    assert f'src="{logo}" alt="My company"' in page.html
    assert ":root{--accent:#663399}" in page.html


async def test_the_page_is_small(sandboxed: Running) -> None:
    """At most 30 KB compressed with the largest logo, and 8 without; all of it in one response."""
    async with Visitor.of(await make_link(sandboxed)) as visitor:
        for coding in ("gzip, br", "identity"):
            request = visitor.client.build_request("GET", visitor.url)
            request.headers["accept-encoding"] = coding
            answer = await visitor.client.send(request, stream=True)
            sent = b"".join([part async for part in answer.aiter_raw()])
            await answer.aclose()
            whole = gzip.decompress(sent) if coding != "identity" else sent
            assert whole.startswith(b"<!doctype html>")
            assert b"http-equiv" not in whole
            if coding != "identity":
                assert len(sent) <= 8_000
        largest = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(MAX_LOGO_BYTES - 8)
        await register(sandboxed, TenantPage("My company", logo_of(largest), "#0a5fb8"))
        request = visitor.client.build_request("GET", visitor.url)
        request.headers["accept-encoding"] = "gzip"
        answer = await visitor.client.send(request, stream=True)
        sent = b"".join([part async for part in answer.aiter_raw()])
        await answer.aclose()
        assert 16_000 < len(sent) <= 30_000


async def test_other_verbs_are_refused(sandboxed: Running) -> None:
    async with httpx.AsyncClient(timeout=LONG, trust_env=False) as client:
        url = await make_link(sandboxed)
        answer = await client.put(url)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        assert (await client.head(url)).content == b""


async def test_a_try_is_audited_and_logged_without_its_secrets(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """In the name of the key that made the link."""
    person = await sandbox.person()
    url = await make_link(sandboxed)
    async with Visitor.of(url) as visitor:
        await visitor.connect(person.handle, WRONG)
        await visitor.connect(person.handle, person.app_password)
    async with asyncio.timeout(LONG):  # refusals are written twice a second
        while len(rows := sandboxed.rows("SELECT * FROM audit WHERE method = 'ConnectByLink'")) < 2:
            await asyncio.sleep(0.1)
    assert sorted(row["outcome"] for row in rows) == ["INVALID_CREDENTIALS", "OK"]
    [created] = sandboxed.rows("SELECT * FROM audit WHERE method = 'CreateConnectLink'")
    assert {row["key_id"] for row in rows} == {created["key_id"]}
    assert {row["platform"] for row in rows} == {"bluesky"}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("cause", InvalidCredentialsCause)
def test_each_cause_of_a_refusal_has_a_text(lang: str, cause: InvalidCredentialsCause) -> None:
    """None falls back to the general one."""
    words, card = Words(lang), CARDS["bluesky"]
    link = ConnectLink("", "", "", None, "", "Example", "", "", "", 0, 1)
    opened = OpenedLink(link, TenantPage(), LinkState.OPEN)
    problem = problem_of(words, opened, card, InvalidCredentials(card, cause))
    assert problem.title != words("other", "problem")
    assert problem.title == problem.title.format()
    assert problem.text == problem.text.format()


def test_each_reason_to_reconnect_has_a_text() -> None:
    """Only a credential that this service cannot read is told as an interruption."""
    told = set(catalogue()["again"]) - {"other", "HEALTHY"}
    assert told == {reason.value for reason in ReconnectReason} - {"CREDENTIAL_UNREADABLE"}
