"""Kinds: every kind of outage, and a server's answers during it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.platforms.bluesky_login import OTHER_DID, xrpc
from tests.platforms.raw import Answer, close_after, drip, hang, head, respond

from .storm import DIRECTORY, LOGIN, REFRESH, STANDING, STANDING_AGAIN

AT_SERVER = (REFRESH, STANDING, LOGIN, STANDING_AGAIN)
PAGE = "<!DOCTYPE html><title>We will be back soon</title>"
CLOSED = {"connection": "close"}


@dataclass(frozen=True)
class Kind:
    """*answers* are used in turn; *places* are the requests that meet them.

    *late*: only a deadline ends it. A text instead of an answer names a fault of the host.
    *answered*: it counts as an answer, so that a login may follow a status request.
    """

    name: str
    answers: Sequence[Answer | str]
    places: Sequence[int] = (*AT_SERVER, DIRECTORY)
    late: bool = False
    answered: bool = False


def _page(status: int, **headers: str) -> bytes:
    return respond(PAGE, status, **CLOSED, **headers)


_SHAPES = (
    respond([], 200, **CLOSED),
    respond("null", 200, content_type="application/json", **CLOSED),
    respond({}, 200, **CLOSED),
    respond({"accessJwt": 5, "refreshJwt": [], "did": {}, "active": "no"}, 200, **CLOSED),
    respond({"did": "", "active": None, "id": 7, "service": {}}, 200, **CLOSED),
    respond('{"error": "AuthenticationRequired"', 401, content_type="application/json", **CLOSED),
)
_ANOTHER = respond(
    {
        "accessJwt": "a.b.c",
        "refreshJwt": "d.e.f",
        "did": OTHER_DID,
        "id": OTHER_DID,
        "handle": "mallory.example.com",
        "active": False,
        "status": "takendown",
    },
    200,
    **CLOSED,
)
KINDS = (
    Kind("connection refused", ["refused"], AT_SERVER),
    Kind("connection reset", [close_after(b""), close_after(head(content_length="90") + b"{")]),
    Kind("hung", [hang(), hang(head(content_length="90"))], late=True),
    Kind("dripped", [drip(head(content_length="90000") + b"{", b" ", 0.1)], late=True),
    Kind(
        "429", [xrpc(429, "RateLimitExceeded", ratelimit_reset="1800000300", **CLOSED), _page(429)]
    ),
    Kind("500", [xrpc(500, "InternalServerError", **CLOSED), _page(500)], answered=True),
    Kind("502", [xrpc(502, "UpstreamFailure", **CLOSED), _page(502)], answered=True),
    Kind("503", [xrpc(503, "NotEnoughResources", **CLOSED), _page(503)], answered=True),
    Kind("504", [xrpc(504, "UpstreamTimeout", **CLOSED), _page(504)], answered=True),
    Kind("200, HTML", [_page(200)], answered=True),
    Kind("302, captive", [_page(302, location="https://portal.example.com/")], answered=True),
    Kind("401, HTML", [_page(401)], answered=True),
    Kind("DNS failure", ["no name", "name server fails"], AT_SERVER),
    Kind("TLS failure", ["another's certificate", "no TLS"], AT_SERVER),
    Kind("wrong JSON shape", _SHAPES, answered=True),
    Kind("another DID", [_ANOTHER], answered=True),
    Kind("oversize", [respond({"padding": "x" * 600_000}, 200, **CLOSED)], answered=True),
    Kind(
        "PLC 404",
        [respond({"message": "DID not registered"}, 404, **CLOSED), _page(404)],
        (DIRECTORY,),
    ),
    Kind("PLC 500", [respond({"message": "Internal"}, 500, **CLOSED), _page(500)], (DIRECTORY,)),
)
