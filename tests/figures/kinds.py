"""Kinds: the outages of any server, and its answers during them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.platforms.raw import Answer, close_after, drip, hang, head, respond

PAGE = "<!DOCTYPE html><title>We will be back soon</title>"
CLOSED = {"connection": "close"}


@dataclass(frozen=True)
class Kind:
    """*answers* are used in turn. *places* are the requests that meet them; empty: all.

    *late*: only a deadline ends it. A text instead of an answer names a fault of the host or of a
    proxy.
    *answered*: it counts as an answer, so that a login may follow a status request.
    *harmless*: a check may prove the connection healthy in spite of it. *lasting*: it has no end.
    """

    name: str
    answers: Sequence[Answer | str] = field(repr=False)
    places: Sequence[int] = ()
    late: bool = False
    answered: bool = False
    harmless: bool = False
    lasting: bool = False


def page(status: int, **headers: str) -> bytes:
    """Return a page of a proxy, a firewall or a portal."""
    return respond(PAGE, status, **CLOSED, **headers)


def with_status(status: int, answer: bytes) -> Kind:
    """Return the error *status*: as the platform's *answer*, and as a page."""
    return Kind(str(status), [answer, page(status)], answered=True)


REFUSED = Kind("connection refused", ["refused"])
RESET = Kind("connection reset", [close_after(b""), close_after(head(content_length="90") + b"{")])
HUNG = Kind("hung", [hang(), hang(head(content_length="90"))], late=True)
DRIPPED = Kind("dripped", [drip(head(content_length="90000") + b"{", b" ", 0.1)], late=True)
HTML = Kind("200, HTML", [page(200)], answered=True)
CAPTIVE = Kind("302, captive", [page(302, location="https://portal.example.com/")], answered=True)
UNAUTHORIZED = Kind("401, HTML", [page(401)], answered=True)
NO_NAME = Kind("DNS failure", ["no name", "name server fails"])
NO_TLS = Kind("TLS failure", ["another's certificate", "no TLS"])
OVERSIZE = Kind("oversize", [respond({"padding": "x" * 600_000}, 200, **CLOSED)], answered=True)
