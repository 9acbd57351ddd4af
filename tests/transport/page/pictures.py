"""Pictures of the connect page, to be looked at: `python -m tests.transport.page.pictures FOLDER`.

Prints the time of the first paint, and the size of the page.
"""

import gzip
import shutil
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import uvloop
from playwright.sync_api import Page

from service.domain.links import TenantPage
from service.storage.migrations import migrate_apart
from tests.support.bluesky import Person, SandboxBluesky
from tests.support.browser import Chromium
from tests.support.running import Running, running
from tests.transport.page.visitor import make_link, register

SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
OPENINGS = 21
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
APP = "http://localhost:3000"
LINK = {"app_name": "Photo Planner", "return_url": f"{APP}/done"}
WRONG = "wxyz-wxyz-wxyz-wxyz"


async def draw(database: Path, folder: Path, browser: Chromium) -> str:
    """Write the pictures to *folder*. Return a line with the figures."""
    async with (
        SandboxBluesky.started() as sandbox,
        running(database, sandbox.settings()) as service,
    ):
        person = await sandbox.person()
        await register(service, TenantPage("My company", "", "#0a5fb8", (APP,)))
        stories = await _stories(service, person)
        for name, story in stories.items():
            for size, viewport in SIZES.items():
                for scheme in ("light", "dark"):
                    file = folder / f"{name}-{size}-{scheme}.png"

                    def drawn(page: Page, story: Callable[[Page], None], file: Path) -> None:
                        story(page)
                        page.screenshot(path=file, full_page=True)

                    picture = partial(drawn, story=story, file=file)
                    await browser.tell(picture, color_scheme=scheme, viewport=viewport)
        url = await make_link(service, **LINK)
        times = await browser.tell(partial(_first_paints, url=url))
        async with httpx.AsyncClient(trust_env=False) as client:
            packed = len(gzip.compress((await client.get(url)).content, 6))
    return (
        f"first paint: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms of "
        f"{OPENINGS}; page: {packed} bytes compressed"
    )


async def _stories(service: Running, person: Person) -> dict[str, Callable[[Page], None]]:
    key = (await service.connect(person.handle, person.app_password)).profile_key
    broken = "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'APP_PASSWORD_REVOKED'"
    await service.execute(broken)
    new = await make_link(service, **LINK)
    done = await make_link(service, **LINK)
    urls = {
        "form": new,
        "reconnect": await make_link(service, profile_key=key, **LINK),
        "german": await make_link(service, platform="wordpress", locale="de", **LINK),
        "choose": await make_link(service, platform="", **LINK),
        "unknown": f"{new}x",
    }

    def opened(page: Page, url: str) -> None:
        page.goto(url)

    def tried(page: Page, url: str, app_password: str) -> None:
        page.goto(url)
        if page.query_selector("form") is None:
            return  # used already
        page.fill("[name=handle]", person.handle)
        page.fill("[name=appPassword]", app_password)
        page.click("[type=submit]")
        page.wait_for_selector("[aria-invalid], #problem, [data-view=done]")

    stories: dict[str, Callable[[Page], None]] = {
        name: partial(opened, url=url) for name, url in urls.items()
    }
    stories["error"] = partial(tried, url=new, app_password=f"{WRONG}-x")
    stories["success"] = partial(tried, url=done, app_password=person.app_password)
    return stories


def _first_paints(page: Page, url: str) -> list[float]:
    times = []
    for _ in range(OPENINGS):
        page.goto(url)
        while not page.evaluate(FIRST_PAINT):
            page.wait_for_timeout(50)
        times.append(float(page.evaluate(FIRST_PAINT)))
    return times


def main(folder: Path) -> None:
    program = shutil.which("chromium")
    assert program is not None, "chromium is not installed"
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, Chromium.started(program) as browser:
        database = Path(temporary) / "postcore.db"
        database.touch(0o600)
        assert migrate_apart(f"sqlite:///{database}")
        print(uvloop.run(draw(database, folder, browser)))  # noqa: T201 - what it is for


if __name__ == "__main__":
    main(Path(sys.argv[1]))
