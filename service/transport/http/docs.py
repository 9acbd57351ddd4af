"""The page that shows the OpenAPI document. It loads nothing from other servers."""

from functools import cache
from pathlib import Path

from starlette.responses import Response

FILES = {
    "": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
"""File name and media type, by the rest of the path."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def response(path: str) -> Response:
    """Return the file at *path*, a key of FILES."""
    name, media_type = FILES[path]
    headers = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    return Response(_content(name), media_type=media_type, headers=headers)


@cache
def _content(name: str) -> bytes:
    return Path(__file__).with_name("page").joinpath(name).read_bytes()
