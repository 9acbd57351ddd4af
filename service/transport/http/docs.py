"""The OpenAPI document and the page that shows it, both written by `make generate`."""

from functools import cache
from pathlib import Path

from starlette.responses import Response

from postcore.profiles.v1 import profile_pb2
from service.transport.http.routes import DOCS, DOCUMENT

OPENAPI_JSON = Path(profile_pb2.__file__).with_name("openapi.json")
FILES = {
    DOCUMENT: (OPENAPI_JSON, "application/json"),
    DOCS: (OPENAPI_JSON.with_suffix(".html"), "text/html"),
    f"{DOCS}/page.css": (Path(__file__).with_name("page.css"), "text/css"),
}
"""File and media type, by path."""
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def response(path: str) -> Response:
    """Return the file at *path*, a key of FILES."""
    file, media_type = FILES[path]
    headers = PAGE_HEADERS if path != DOCUMENT else None
    return Response(_content(file), media_type=media_type, headers=headers)


@cache
def _content(file: Path) -> bytes:
    return file.read_bytes()
