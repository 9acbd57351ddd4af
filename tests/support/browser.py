"""A Chromium for tests, driven by Playwright in a thread of its own."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from playwright.sync_api import Browser, Page, sync_playwright

T = TypeVar("T")
LONG_MS = 90_000
"""Time-out of any step in a page, generous for busy machines."""
NOTES = ("the server responded with a status", "Autofocus processing was blocked")
"""What a browser writes about a status of an error, and about a person who was faster than it."""
OPTIONS = (
    "--no-sandbox",  # root cannot use it, and the pages are trusted
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    # pages of other servers, which tests make up, have no address, and this one is on loopback
    "--disable-features=LocalNetworkAccessChecks",
)


class Chromium:
    """One browser for many tests. A story runs in its thread, with a page of its own."""

    def __init__(self, thread: ThreadPoolExecutor, browser: Browser) -> None:
        self._thread = thread
        self._browser = browser

    @classmethod
    @contextmanager
    def started(cls, program: str) -> Iterator["Chromium"]:
        with ThreadPoolExecutor(1) as thread:
            driver = thread.submit(lambda: sync_playwright().start()).result()
            browser = thread.submit(
                lambda: driver.chromium.launch(
                    executable_path=program, args=OPTIONS, timeout=LONG_MS
                )
            ).result()
            try:
                yield cls(thread, browser)
            finally:
                thread.submit(browser.close).result()
                thread.submit(driver.stop).result()

    async def tell(
        self, story: Callable[[Page], T], faults_allowed: tuple[str, ...] = (), **options: Any
    ) -> T:
        """Return the result of *story* in a new page, whose context has *options*.

        Whatever a page writes to its console, or throws, fails the story, unless it has one of
        *faults_allowed* in it.
        """

        def told() -> T:
            context = self._browser.new_context(**{"locale": "en-GB", **options})
            try:
                context.set_default_timeout(LONG_MS)
                said: list[str] = []
                context.on("console", lambda message: said.append(message.text))
                context.on("weberror", lambda error: said.append(str(error.error)))
                result = story(context.new_page())
                allowed = (*NOTES, *faults_allowed)
                faults = [text for text in said if not any(each in text for each in allowed)]
                assert not faults, faults
                return result
            finally:
                context.close()

        return await asyncio.wrap_future(self._thread.submit(told))
