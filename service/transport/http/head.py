"""The head of an HTTP request: finds its end and validates it before h11 parses it.

The rules are stricter than RFC 9112 where its leniency lets a proxy and this server disagree about
the end of a request.
"""

import re

from service.domain.errors import InvalidRequest

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100
END = b"\r\n\r\n"
# NUL, bare LF, bare CR, and a line that continues the one before (obs-fold)
MALFORMED = re.compile(rb"\0|(?<!\r)\n|\r(?!\n|\Z)|\n[ \t]")
FRAMING = (b"content-length", b"transfer-encoding")


def not_http() -> InvalidRequest:
    """Return the error for input that is not a request this server accepts."""
    return InvalidRequest(
        "", f"is not HTTP/1.1, or has a head of more than 16 KiB or {MAX_HEADERS} headers"
    )


def end_of_head(received: bytearray, checked: int) -> int:
    """Return the length of the head at the start of *received*; 0 while it is incomplete.

    Earlier calls have checked the first *checked* bytes. Raise InvalidRequest as soon as the head
    cannot become valid.
    """
    found = received.find(END, max(0, checked - len(END)))
    end = found + len(END) if found >= 0 else len(received)
    if end > MAX_HEAD_BYTES or MALFORMED.search(received, max(0, checked - 2), end):
        raise not_http()
    return end if found >= 0 else 0


def check_head(head: bytes) -> None:
    """Raise InvalidRequest for too many headers, or for an ambiguous body length."""
    lines = head.split(b"\r\n")[1:-2]
    if len(lines) > MAX_HEADERS:
        raise not_http()
    headers = [line.partition(b":")[::2] for line in lines]
    framing = [(name, value) for name, value in headers if name.rstrip(b" \t").lower() in FRAMING]
    if len(framing) > 1:
        raise not_http()
    for name, value in framing:
        if name.lower() == FRAMING[0] and not value.strip(b" \t").isdigit():
            raise not_http()
