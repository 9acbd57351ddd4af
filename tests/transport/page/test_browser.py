"""The connect page in a browser: typed, pasted, filled in, slow, without script, by keyboard."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.links import TenantPage
from service.sandbox.faults import Hang
from tests.pds.server import RealServer
from tests.support import sharing
from tests.support.bluesky import CREATE, Person, RealBluesky, SandboxBluesky
from tests.support.browser import Chromium
from tests.support.running import Running, running
from tests.transport.page.visitor import make_link, register

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

WRONG = "wxyz-wxyz-wxyz-wxyz"
HANDLE, PASSWORD, SUBMIT = "[name=handle]", "[name=appPassword]", "[type=submit]"
DONE, PROBLEM = "[data-view=done]", "#problem"
APP, STRANGER = "http://localhost:3000", "http://localhost:3001"
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def faults(page: Page) -> list[tuple[str, str]]:
    """Return what axe-core finds wrong with *page*: the rule and the element."""
    found = Axe().run(page, options=AXE).response["violations"]
    return [(each["id"], node["html"]) for each in found for node in each["nodes"]]


def fill(page: Page, handle: str, app_password: str) -> None:
    page.fill(HANDLE, handle)
    page.fill(PASSWORD, app_password)


def kept(page: Page) -> str:
    """Return all that a browser keeps of the page, and shows of it."""
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    return " ".join((stored, page.url, page.content(), json.dumps(page.context.cookies())))


async def test_typed_by_keyboard_alone(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """Three actions after the page is open: type the handle, type the password, press Enter. The
    page asks no other server, and nothing keeps the password."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    def story(page: Page) -> list[str]:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        for _ in range(5):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.name") == "handle":
                break
        page.keyboard.type(person.handle)
        page.keyboard.press("Tab")
        page.keyboard.type(person.app_password)
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)
        assert person.handle in page.inner_text("main")
        assert person.app_password not in kept(page)
        assert kept(page).startswith("[{},{}]")
        assert page.context.cookies() == []
        return asked

    asked = await browser.tell(story)
    own = {each.rstrip("?") for each in asked if not each.startswith("data:")}
    assert own == {url, f"{url}/handle"}


async def test_pasted_with_odd_characters(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """White space and invisible marks are removed as they are pasted; the shape is checked at once,
    in words, and the focus goes to the field at fault."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    def story(page: Page) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(url)

        def paste(selector: str, text: str) -> None:
            page.evaluate("text => navigator.clipboard.writeText(text)", text)
            page.focus(selector)
            page.keyboard.press("ControlOrMeta+a")
            page.keyboard.press("ControlOrMeta+v")

        paste(HANDLE, f"\u200b\u2068{person.handle[:3]}\u200b{person.handle[3:]}\u2069 \t")
        assert page.input_value(HANDLE) == person.handle
        paste(PASSWORD, "my main password")
        page.keyboard.press("Enter")
        assert "xxxx-xxxx-xxxx-xxxx" in page.inner_text("#field-appPassword-error")
        assert page.get_attribute(PASSWORD, "aria-invalid") == "true"
        assert page.evaluate("document.activeElement.name") == "appPassword"
        paste(PASSWORD, f" {person.app_password}\u200e\n")
        assert page.inner_text("#field-appPassword-error") == ""
        assert page.get_attribute(PASSWORD, "aria-invalid") is None
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)

    await browser.tell(story)
    assert (await sandbox.counts())[CREATE] == 1


async def test_a_handle_that_leads_nowhere_is_told_while_typing(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """Before the password is typed; corrected, the words go. It stops nobody."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    def story(page: Page) -> None:
        page.goto(url)
        page.fill(HANDLE, "nobody.test")
        page.focus(PASSWORD)
        page.wait_for_selector("#field-handle-error:not(:empty)")
        assert page.inner_text("#field-handle-error") == "This account was not found"
        page.fill(HANDLE, person.handle)
        assert page.inner_text("#field-handle-error") == ""
        page.fill(PASSWORD, person.app_password)
        page.click(SUBMIT)
        page.wait_for_selector(DONE)

    await browser.tell(story)


async def test_filled_in_by_a_password_manager(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """It finds the fields by what they say of themselves, and sets them without a key stroke."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    def story(page: Page) -> None:
        page.goto(url)
        page.evaluate(
            """([username, password]) => {
              const set = (selector, value) => {
                const input = document.querySelector(selector);
                input.value = value;
                for (const name of ["input", "change"])
                  input.dispatchEvent(new Event(name, {bubbles: true}));
              };
              set("[autocomplete=username]", username);
              set("[type=password][autocomplete=current-password]", password);
            }""",
            [person.handle, person.app_password],
        )
        page.click(SUBMIT)
        page.wait_for_selector(DONE)

    await browser.tell(story)


async def test_without_script(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """A refusal and a success, with the same words; the error is read first."""
    person = await sandbox.person()
    await register(sandboxed, TenantPage(origins=(APP,)))
    url = await make_link(sandboxed, return_url=f"{APP}/back", state="s")

    def story(page: Page) -> str:
        page.route(f"{APP}/**", lambda route: route.fulfill(body="the app"))
        page.goto(url)
        fill(page, person.handle, WRONG)
        page.click(SUBMIT)
        assert "Bluesky did not accept this" in page.inner_text(PROBLEM)
        assert page.input_value(HANDLE) == person.handle
        assert page.input_value(PASSWORD) == ""
        page.fill(PASSWORD, person.app_password)
        page.click(SUBMIT)
        page.wait_for_selector(DONE)
        page.click("#back")
        page.wait_for_url(f"{APP}/back?profileKey=*")
        return page.url

    back = await browser.tell(story, java_script_enabled=False)
    [row] = sandboxed.rows("SELECT profile_key FROM profiles")
    assert back == f"{APP}/back?profileKey={row['profile_key']}&platform=bluesky&state=s"


async def test_back_again_and_in_two_tabs(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """The way back shows no password, and a form of a used link leads to its success: one login
    and one profile."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    def story(page: Page) -> None:
        other = page.context.new_page()
        for tab in (page, other):
            tab.goto(url)
            fill(tab, person.handle, person.app_password)
        page.click(SUBMIT)
        page.wait_for_selector(DONE)
        other.click(SUBMIT)
        other.wait_for_selector(DONE)
        page.goto("about:blank")
        page.go_back()
        page.wait_for_selector(DONE)
        page.go_back()
        page.wait_for_selector("main")
        assert page.query_selector(PASSWORD) is None or page.input_value(PASSWORD) == ""
        assert person.app_password not in kept(page)
        page.goto(url)
        page.wait_for_selector(DONE)

    await browser.tell(story)
    assert (await sandbox.counts())[CREATE] == 1
    assert len(sandboxed.rows("SELECT * FROM profiles")) == 1


async def test_a_slow_platform_shows_progress(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """The page says that it asks, to screen readers too, and sends the form once."""
    person = await sandbox.person()
    url = await make_link(sandboxed)
    sandbox.server.breakages.add(Hang(), method="createSession")

    def story(page: Page) -> None:
        page.goto(url)
        fill(page, person.handle, person.app_password)
        # what the page shows is noted by itself: the driver waits until the page has been replaced
        seen: list[list[str]] = []

        def note(shown: list[str]) -> None:
            seen.append(shown)

        page.expose_function("note", note)
        page.evaluate(
            """() => document.querySelector("form").addEventListener("submit", (event) => {
              const button = document.querySelector("[type=submit]");
              const said = document.querySelector("[role=status]").textContent;
              note([said, button.getAttribute("aria-disabled"), String(event.defaultPrevented)]);
              if (!event.defaultPrevented) setTimeout(() => button.click());
            })"""
        )
        page.click(SUBMIT, no_wait_after=True)
        while CREATE not in sandbox.server.counts or len(seen) < 2:
            page.wait_for_timeout(50)
        asking = "Asking Bluesky. This can take up to 20 seconds."
        assert seen == [[asking, "true", "false"], [asking, "true", "true"]]
        sent.append(sandbox.server.counts[CREATE])
        sandbox.server.breakages.clear()
        # on a machine so slow that the time of the login was over
        page.wait_for_selector(f"{DONE}, {PROBLEM}")

    sent: list[int] = []
    await browser.tell(story)
    assert sent == [1]


async def test_a_link_that_expires_while_it_is_open(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """The form is not taken, and the page says what to do."""
    person = await sandbox.person()
    url = await make_link(sandboxed)

    def story(page: Page) -> None:
        page.goto(url)
        fill(page, person.handle, person.app_password)
        sandboxed.rows("UPDATE connect_links SET expires_at = created_at")
        page.click(SUBMIT)
        page.wait_for_selector("[data-view=ended]")
        assert "This link has expired" in page.inner_text("h1")
        assert person.app_password not in kept(page)

    await browser.tell(story)
    assert CREATE not in await sandbox.counts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium, scheme: str
) -> None:
    """In each view, light and dark, in each language, with a tenant's marks; and nothing has to be
    scrolled sideways at 320 px."""
    person = await sandbox.person()
    marks = TenantPage("My company", "", "#663399", (APP,))
    await register(sandboxed, marks)
    key = (await sandboxed.connect(person.handle, person.app_password)).profile_key
    await sandboxed.execute(
        "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'APP_PASSWORD_REVOKED'"
    )
    again = await make_link(sandboxed, profile_key=key, return_url=f"{APP}/")
    urls = [
        again,
        await make_link(sandboxed, platform=""),
        await make_link(sandboxed, platform="wordpress", locale="de"),
        await make_link(sandboxed, platform="mastodon", locale="es"),
        f"{again}x",
    ]

    def check(page: Page) -> None:
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 320

    def story(page: Page) -> None:
        for url in urls:
            page.goto(url)
            check(page)
        page.goto(again)
        fill(page, person.handle, "x")
        page.click(SUBMIT)
        check(page)
        fill(page, person.handle, WRONG)
        page.click(SUBMIT)
        page.wait_for_selector(PROBLEM)
        check(page)
        fill(page, person.handle, person.app_password)
        page.click(SUBMIT)
        page.wait_for_selector(DONE)
        check(page)

    await browser.tell(story, color_scheme=scheme, viewport={"width": 320, "height": 640})


def pages(page: Page, contents: dict[str, str]) -> None:
    """Have other servers answer with *contents*, by URL."""
    for url, content in contents.items():
        page.context.route(f"{url}/**", partial(_answer, content))


def _answer(content: str, route: Route) -> None:
    route.fulfill(body=content, content_type="text/html")


LISTENING = "<script>heard = []; addEventListener('message', e => heard.push(e.data))</script>"


async def test_the_window_that_opened_it_hears_of_the_success(
    sandboxed: Running, sandbox: SandboxBluesky, browser: Chromium
) -> None:
    """If it is of a registered origin: by a message with the profile's key and the state. A
    stranger hears nothing."""
    person = await sandbox.person()
    await register(sandboxed, TenantPage(origins=(APP,)))
    urls = {APP: await make_link(sandboxed, state="s"), STRANGER: await make_link(sandboxed)}

    def story(page: Page) -> dict[str, Any]:
        pages(page, dict.fromkeys(urls, LISTENING))
        heard = {}
        for origin, url in urls.items():
            page.goto(f"{origin}/")
            with page.expect_popup() as opened:
                page.evaluate("url => { window.open(url) }", url)
            popup = opened.value
            fill(popup, person.handle, person.app_password)
            popup.click(SUBMIT)
            popup.wait_for_selector(DONE)
            if origin == APP:
                page.wait_for_function("heard.length > 0")
            heard[origin] = page.evaluate("heard")
            popup.close()
        return heard

    # a stranger's message is held back by the browser, which says so in the console
    heard = await browser.tell(story, faults_allowed=("postMessage",))
    [first] = sandboxed.rows("SELECT profile_key FROM connect_links WHERE state = 's'")
    assert heard == {
        APP: [
            {
                "type": "postcore.connected",
                "profileKey": first["profile_key"],
                "platform": "bluesky",
                "username": person.handle,
                "state": "s",
            }
        ],
        STRANGER: [],
    }


async def test_only_a_registered_origin_frames_it(sandboxed: Running, browser: Chromium) -> None:
    """In a stranger's frame the browser shows nothing of it."""
    await register(sandboxed, TenantPage(origins=(APP,)))
    url = await make_link(sandboxed)

    def story(page: Page) -> dict[str, bool]:
        pages(page, dict.fromkeys((APP, STRANGER), f"<iframe src='{url}'></iframe>"))
        shown = {}
        for origin in (APP, STRANGER):
            page.goto(f"{origin}/", wait_until="load")
            frame = page.frames[1]
            shown[origin] = frame.query_selector("form") is not None
        return shown

    assert await browser.tell(story, faults_allowed=("frame-ancestors",)) == {
        APP: True,
        STRANGER: False,
    }


async def test_it_is_painted_at_once(sandboxed: Running, browser: Chromium) -> None:
    """One response is all that the first paint waits for."""
    url = await make_link(sandboxed)

    def story(page: Page) -> list[str]:
        page.goto(url)
        painted = "performance.getEntriesByName('first-contentful-paint').length"
        while not page.evaluate(painted):
            page.wait_for_timeout(50)
        names: list[str] = page.evaluate(
            "performance.getEntriesByType('resource').map(e => e.name)"
        )
        return names

    assert await browser.tell(story) == []


async def test_at_the_real_bluesky_server(
    pds: RealServer, database: Path, browser: Chromium
) -> None:
    """Its own words for a wrong password, and its own account."""
    bluesky = RealBluesky(pds)
    person: Person = await bluesky.person()
    async with running(database, bluesky.settings()) as service:
        url = await make_link(service)

        def story(page: Page) -> None:
            page.goto(url)
            fill(page, f"@{person.handle}", WRONG)
            page.click(SUBMIT)
            assert "Bluesky did not accept this" in page.inner_text(PROBLEM)
            page.fill(PASSWORD, person.app_password)
            page.click(SUBMIT)
            page.wait_for_selector(DONE)
            assert person.handle in page.inner_text("main")

        await browser.tell(story)
        [row] = service.rows("SELECT profile_key FROM profiles")
        profile = await service.profiles.GetProfile(
            pb.GetProfileRequest(profile_key=row["profile_key"]), metadata=service.metadata()
        )
    [connection] = profile.profile.connected_platforms
    assert connection.username == person.handle
