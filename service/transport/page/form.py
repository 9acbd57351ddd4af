"""The form of the page: which requests may bring one, and what is in it."""

import re
from urllib.parse import parse_qsl

from starlette.requests import Request

from service.domain.errors import InvalidRequest, UnsupportedMediaType
from service.transport.http.request import header, read_body

MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 12
FORM = re.compile(
    r"application/x-www-form-urlencoded[ \t]*(;[ \t]*charset=\"?utf-8\"?[ \t]*)?",
    re.ASCII | re.IGNORECASE,
)


def is_of_this_page(request: Request, origin: str) -> bool:
    """Whether the page itself, at *origin*, sent *request*, as far as the browser says.

    A page without a referrer sends its forms with the origin `null`. No cookie and no other
    standing permission stands behind a form: it holds all that it takes but the link.
    """
    if header(request, "sec-fetch-site") not in (None, "same-origin"):
        return False
    return header(request, "origin") in (None, "null", origin)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of the form in *request*. Raises ServiceError.

    Raises ClientDisconnect if the browser disconnects before the end of it.
    """
    if not FORM.fullmatch(header(request, "content-type") or ""):
        raise UnsupportedMediaType
    return parsed(await read_body(request, MAX_FORM_BYTES))


def parsed(body: bytes) -> dict[str, str]:
    """Return the fields of an encoded form. Raises InvalidRequest."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:  # also what is not UTF-8; from None: the text quotes the form
        raise InvalidRequest("", "is not a form of this page") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidRequest("", "names a field twice")
    return found
