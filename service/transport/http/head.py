"""The head of an HTTP request: its end, and the rules that it has to follow before it is parsed.

They are stricter than those of RFC 9112 where leniency lets a proxy and this server disagree on
where a request ends.
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
    """The error for bytes that are not a request that this server reads."""
    return InvalidRequest(
        "", f"is not HTTP/1.1, or has a head of more than 16 KiB or {MAX_HEADERS} headers"
    )


def end_of_head(received: bytearray, checked: int) -> int:
    """The length of the head that *received* begins with; 0 if it is not whole yet.

    *checked* bytes were seen by earlier calls. Raises InvalidRequest once the head cannot become
    valid.
    """
    found = received.find(END, max(0, checked - len(END)))
    end = found + len(END) if found >= 0 else len(received)
    if end > MAX_HEAD_BYTES or MALFORMED.search(received, max(0, checked - 2), end):
        raise not_http()
    return end if found >= 0 else 0


def check_head(head: bytes) -> None:
    """Raise InvalidRequest for too many headers, or for a body whose length is ambiguous."""
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
