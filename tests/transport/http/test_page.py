"""The page: the document as people read it, in a browser, from this service alone."""

import asyncio
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from service.transport.http.openapi import document
from service.transport.http.routes import ROUTES
from tests.support.running import Running
from tests.transport.http.edge import LONG, Edge

FOLDER = Path(__file__).parents[3] / "service/transport/http/page"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("chromium is not installed")


async def opened(chromium: str, folder: Path, url: str, *what: str) -> tuple[str, str]:
    """What a browser prints, and what its console says, of the page at *url*."""
    process = await asyncio.create_subprocess_exec(
        chromium,
        "--headless",
        "--no-sandbox",  # which root cannot have; the page is our own
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        f"--user-data-dir={folder / 'browser'}",
        "--enable-logging=stderr",
        "--window-size=1280,1600",
        "--virtual-time-budget=20000",
        *what,
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LONG):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    said = [line for line in errors.decode().splitlines() if ":CONSOLE" in line]
    return out.decode(), "\n".join(said)


async def test_it_shows_the_whole_document(
    sandboxed: Running, chromium: str, tmp_path: Path
) -> None:
    """Every call, status, field and schema; the console has nothing to complain of."""
    page, said = await opened(chromium, tmp_path, f"http://{sandboxed.http}/docs", "--dump-dom")
    assert said == ""
    text = unescape(re.sub(r"<[^>]+>", "", page))
    whole = document()
    for route in ROUTES:
        assert f'id="{route.verb.lower()}{route.path}"' in page
        for status in whole["paths"][route.path][route.verb.lower()]["responses"]:
            assert f"<td>{status}</td>" in page
    for name, schema in whole["components"]["schemas"].items():
        assert f'<section id="{name}">' in page
        assert all(field in text for field in schema.get("properties", ()))
    assert "undefined" not in text
    assert "[object" not in text


async def test_it_can_be_looked_at(sandboxed: Running, chromium: str, tmp_path: Path) -> None:
    """As a picture that is more than a blank."""
    shot = tmp_path / "docs.png"
    await opened(chromium, tmp_path, f"http://{sandboxed.http}/docs", f"--screenshot={shot}")
    assert shot.read_bytes().startswith(PNG)
    assert shot.stat().st_size > 50_000


async def test_nothing_comes_from_elsewhere(edge: Edge) -> None:
    """By its policy and by its files."""
    page = await edge.ask("GET", "/docs")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "connect")} == {"'self'"}
    assert policy["frame-ancestors"] == "'none'"
    for file in FOLDER.iterdir():
        text = file.read_text()
        assert not re.search(r"https?:|//[a-z]|innerHTML|style=|onclick|eval", text), file
        if file.suffix != ".html":
            served = await edge.ask("GET", f"/docs/{file.name}")
            assert served.text == text
            kind = {".js": "text/javascript", ".css": "text/css"}[file.suffix]
            assert served.headers["content-type"].startswith(kind)
