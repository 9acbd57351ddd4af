"""Responses of the page: HTML under a strict policy, compressed."""

import gzip
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from service.domain.links import TenantPage
from service.transport.http.request import header
from service.transport.page.words import Words

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parent
NONCE_BYTES = 16


def html(
    request: Request,
    words: Words,
    page: TenantPage,
    status: int,
    values: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the page with *values*. No part of it is secret, so that it may be compressed."""
    nonce = secrets.token_urlsafe(NONCE_BYTES)
    text = _template().render(words=words, page=page, nonce=nonce, **values)
    content, coding = text.encode(), {}
    if _accepts_gzip(request):
        content, coding = gzip.compress(content, 6, mtime=0), {"content-encoding": "gzip"}
    return Response(
        content,
        status,
        {
            **(headers or {}),
            **coding,
            "vary": "accept-encoding, accept-language",
            "content-language": words.lang,
            "content-security-policy": _policy(nonce, page),
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
            "x-robots-tag": "noindex",
        },
        media_type="text/html",
    )


def _policy(nonce: str, page: TenantPage) -> str:
    ancestors = " ".join(page.origins) or "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src 'nonce-{nonce}'",
            f"script-src 'nonce-{nonce}'",
            "connect-src 'self'",
            "img-src data:",
            "form-action 'self'",
            "base-uri 'none'",
            f"frame-ancestors {ancestors}",
        )
    )


def _accepts_gzip(request: Request) -> bool:
    codings = (header(request, "accept-encoding") or "").replace(" ", "").split(",")
    return "gzip" in codings


@cache
def _template() -> "Template":
    # imported here: only a service whose page is opened needs it
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        autoescape=True,
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = {
        "css": FOLDER / "connect.css",
        "script": FOLDER / "connect.mjs",
    }
    templates.globals = {
        name: Markup(file.read_text(encoding="utf-8"))  # noqa: S704 - files of this package
        for name, file in own.items()
    }
    templates.globals |= dict.fromkeys(("back", "message", "problem", "view"), "")
    return templates.get_template("connect.html")
