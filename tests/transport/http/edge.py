"""A client of the HTTP edge that checks every response against the OpenAPI document."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Self

import httpx
import jsonschema_rs

from service.transport.http.docs import OPENAPI_JSON
from service.transport.status import STATUS
from tests.support.running import Running

JSON = "application/json"
LONG = 60.0
"""Time-out in seconds for any step, generous for busy machines."""
STATUSES = {status.name: status.http for status in STATUS.values()}


@cache
def strict() -> dict[str, Any]:
    """Return the document with additional properties forbidden in every object."""
    whole: dict[str, Any] = json.loads(OPENAPI_JSON.read_bytes())

    def close(schema: Any) -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "object" and "properties" in schema:
                schema["additionalProperties"] = False
            for inner in schema.values():
                close(inner)
        elif isinstance(schema, list):
            for inner in schema:
                close(inner)

    close(whole)
    return whole


def hold(response: httpx.Response, body: bytes) -> None:
    """Check *response* against the document, by path, verb and status."""
    whole = strict()
    verb = response.request.method
    found = [
        path
        for path in sorted(whole["paths"], key=lambda path: "{" in path)
        if re.fullmatch(
            re.sub(r"{\w+}", "[^/]+", path),
            response.request.url.raw_path.decode().partition("?")[0],
        )
    ]
    operation = whole["paths"].get(found[0] if found else "", {}).get(verb.lower())
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r"[A-Za-z0-9._:/+=@-]{1,128}", response.headers["x-request-id"])
    assert "server" not in response.headers
    if verb == "OPTIONS":
        assert response.status_code == 204
        return
    if verb == "HEAD":
        assert body == b""
        return
    if response.request.url.path.startswith("/docs/") and response.is_success:
        return  # the page's own files
    documented = {} if operation is None else operation["responses"]
    answer = documented.get(str(response.status_code)) or documented.get("default")
    schema = {"$ref": "#/components/schemas/Error"}
    if answer:
        [(kind, content)] = answer["content"].items()
        assert response.headers["content-type"].partition(";")[0] == kind
        if kind != JSON:
            return
        schema = content["schema"]
    else:
        assert response.status_code in (404, 405), response
    validator = jsonschema_rs.validator_for(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **schema,
            "components": whole["components"],
        },
        validate_formats=True,
    )
    shown = response.json()
    assert [error.message for error in validator.iter_errors(shown)] == []
    if response.status_code >= 400:
        assert STATUSES[shown["error"]] == response.status_code
        assert ("retry_after" in shown) == (shown["error"] == "RATE_LIMIT_EXCEEDED")
        if "retry_after" in shown:
            assert response.headers["retry-after"] == str(shown["retry_after"])


class Edge:
    """A client of one service, with its key."""

    def __init__(self, service: Running, client: httpx.AsyncClient) -> None:
        self.service = service
        self.client = client

    @classmethod
    @asynccontextmanager
    async def of(cls, service: Running) -> AsyncIterator[Self]:
        async def held(response: httpx.Response) -> None:
            hold(response, await response.aread())

        async with httpx.AsyncClient(
            base_url=f"http://{service.http}",
            headers={"x-api-key": service.api_key},
            event_hooks={"response": [held]},
            timeout=LONG,
            trust_env=False,
        ) as client:
            yield cls(service, client)

    async def ask(self, verb: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(verb, path, **more)

    async def connect(self, handle: str, app_password: str, **more: Any) -> httpx.Response:
        body = {
            "platform": "bluesky",
            "credentials": {"handle": handle, "appPassword": app_password},
            **more,
        }
        return await self.ask("POST", "/profiles/connect", json=body)

    async def post(
        self, content: Any, path: str = "/profiles/connect", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Return status and body of the response to *content*, sent as JSON unless *headers*
        differ."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.ask(
            "POST", path, content=content, headers={"content-type": JSON, **named}
        )
        return answer.status_code, answer.json()


class Wire:
    """A raw connection to the edge, for input that no HTTP client sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, address: str) -> AsyncIterator[Self]:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)
        await self.writer.drain()

    async def answer(self) -> tuple[int, str]:
        """Return status and body of the next response, which has a content-length."""
        async with asyncio.timeout(LONG):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head)
            body = await self.reader.readexactly(int(length[1]) if length else 0)
        return int(head.split()[1]), body.decode()

    async def rest(self) -> bytes:
        """Return all bytes until the server closes the connection."""
        async with asyncio.timeout(LONG):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""
