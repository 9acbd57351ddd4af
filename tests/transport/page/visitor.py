"""A visitor of the connect page who has no script: reads it, and sends its form."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any, Self

import httpx

from postcore.profiles.v1 import profile_service_pb2 as pb
from service.app.startup import open_store
from service.domain.links import TenantPage
from tests.support.running import Running

LONG = 60.0
"""Time-out in seconds for any step, generous for busy machines."""
ORIGIN = "https://app.example.com"


async def make_link(service: Running, api_key: str = "", **fields: Any) -> str:
    """Return the URL of a new link, to Bluesky unless *fields* differ."""
    request = pb.CreateConnectLinkRequest(
        **{"app_name": "Example", "platform": "bluesky", **fields}
    )
    made = await service.profiles.CreateConnectLink(
        request, metadata=service.metadata(api_key or None), timeout=LONG
    )
    return str(made.url)


async def register(service: Running, page: TenantPage) -> None:
    async with open_store(service.settings) as store:
        assert await store.links.set_page(service.tenant_id, page, 1)


class Page(HTMLParser):
    """A page as it was sent."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status = response.status_code
        self.headers = response.headers
        self.html = response.text
        self.inputs: dict[str, dict[str, str]] = {}
        self.main: dict[str, str] = {}
        self.links: list[str] = []
        self._hidden, self._words = 0, [""]
        self.feed(self.html)
        self.text = re.sub(r"\s+", " ", " ".join(self._words))
        """What a person reads."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self._hidden += tag in ("style", "script")
        if tag == "input":
            self.inputs[found["name"]] = found
        elif tag == "main":
            self.main = found
        elif tag == "a":
            self.links.append(found["href"])

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)

    @property
    def view(self) -> str:
        return self.main["data-view"]

    @property
    def policy(self) -> dict[str, str]:
        parts = self.headers["content-security-policy"].split(";")
        return dict(part.strip().partition(" ")[::2] for part in parts)


class Visitor:
    """A browser without script, at one link."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client = client
        self.url = url

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str) -> AsyncIterator[Self]:
        async with httpx.AsyncClient(timeout=LONG, trust_env=False, follow_redirects=True) as it:
            yield cls(it, url)

    async def open(self, query: str = "", **headers: str) -> Page:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Page(await self.client.get(self.url + query, headers=named))

    async def send(self, fields: Mapping[str, str], **headers: str) -> Page:
        """Send the form, with the headers that a browser adds."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        own = {"origin": "null", "sec-fetch-site": "same-origin", **named}
        return Page(await self.client.post(self.url, data=dict(fields), headers=own))

    async def connect(self, handle: str, app_password: str, **more: str) -> Page:
        fields = {"platform": "bluesky", "handle": handle, "appPassword": app_password}
        return await self.send({**fields, **more})
