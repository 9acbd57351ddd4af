"""The page that shows the document, in a browser."""

import asyncio
import json
import re
from html import unescape
from pathlib import Path

from service.transport.http.docs import FILES, OPENAPI_JSON
from service.transport.http.routes import ROUTES
from tests.support.running import Running
from tests.transport.http.edge import LONG, Edge

PNG = b"\x89PNG\r\n\x1a\n"


async def opened(chromium: str, folder: Path, url: str, *what: str) -> tuple[str, str]:
    """Open *url* in a browser. Return its output, and the lines of its console."""
    process = await asyncio.create_subprocess_exec(
        chromium,
        "--headless",
        "--no-sandbox",  # root cannot use it, and the page is trusted
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
    console = [line for line in errors.decode().splitlines() if ":CONSOLE" in line]
    return out.decode(), "\n".join(console)


async def test_it_shows_the_whole_document(
    sandboxed: Running, chromium: str, tmp_path: Path
) -> None:
    """It has every call, status, field and schema, and the console stays empty."""
    page, console = await opened(chromium, tmp_path, f"http://{sandboxed.http}/docs", "--dump-dom")
    assert console == ""
    text = unescape(re.sub(r"<[^>]+>", "", page))
    whole = json.loads(OPENAPI_JSON.read_bytes())
    for route in ROUTES:
        assert f'id="{route.verb.lower()}{route.path}"' in page
        for status in whole["paths"][route.path][route.verb.lower()]["responses"]:
            assert f"<td>{status}</td>" in page
    for name, schema in whole["components"]["schemas"].items():
        assert f'<section id="{name}">' in page
        assert all(field in text for field in schema.get("properties", ()))
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets == set(re.findall(r'<section id="([^"]+)"', page))


async def test_it_is_not_blank(sandboxed: Running, chromium: str, tmp_path: Path) -> None:
    """A screenshot is larger than that of an empty page."""
    shot = tmp_path / "docs.png"
    await opened(chromium, tmp_path, f"http://{sandboxed.http}/docs", f"--screenshot={shot}")
    assert shot.read_bytes().startswith(PNG)
    assert shot.stat().st_size > 50_000


async def test_it_loads_nothing_from_other_servers(edge: Edge) -> None:
    """Its policy allows one style sheet of this server and no script; its files use no more."""
    page = await edge.ask("GET", "/docs")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert not policy.keys() & {"script-src", "connect-src", "frame-src"}
    assert policy["frame-ancestors"] == "'none'"
    for path, (file, media_type) in FILES.items():
        served = await edge.ask("GET", path)
        assert served.content == file.read_bytes()
        assert served.headers["content-type"].startswith(media_type)
        if media_type != "application/json":
            assert not re.search(r"<script|<[^>]* (?:style|on\w+)=|url\(|@import", served.text)
            links = re.findall(r'(?:href|src)="([^"]*)"', served.text)
            assert all(re.match(r"#|/\w|data:,$", link) for link in links), path
