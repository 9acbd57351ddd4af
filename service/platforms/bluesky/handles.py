"""Handles and DIDs: what people type, tidied, and the shapes the AT Protocol allows.

Source: the AT Protocol specifications "Handle" and "DID".
"""

import re
import unicodedata

HANDLE = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII
)
REFUSED_ENDINGS = frozenset(
    ("alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion")
)
# of bsky.app and of other apps that show the same accounts: their links have the same path
PROFILE_LINK = re.compile(
    r"(?:https?://)?(?:[a-z0-9-]+\.)+[a-z0-9-]+/"
    r"(?:#/)?(?:[a-z0-9_-]+/){0,3}profile/(?:%40)?([^/?#]+)(?:[/?#].*)?",
    re.ASCII | re.IGNORECASE,
)
DID_PLC = re.compile(r"did:plc:[a-z2-7]{24}", re.ASCII)
DID_WEB = re.compile(
    r"did:web:(?=[^:]{1,253}$)((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)",
    re.ASCII,
)


def tidy_handle(typed: str) -> str:
    """*typed* without what comes along by accident: white space, invisible and bidi marks at the
    ends, one `@` or `at://`, the link of a profile page around it, capitals."""
    handle = _trim(typed)
    bare = _trim(handle[1:]) if handle.startswith("@") else handle
    if link := PROFILE_LINK.fullmatch(bare):
        handle = _trim(link[1]).removeprefix("@")
    elif handle.lower().startswith("at://"):
        handle = handle[5:]
    else:
        handle = bare
    return _ascii_lower(_trim(handle))


def is_handle(text: str, *, test_names: bool = False) -> bool:
    """Whether *text* is a handle that may be resolved; `.test` ones only with *test_names*."""
    if not HANDLE.fullmatch(text):
        return False
    ending = text.rpartition(".")[2]
    return ending not in REFUSED_ENDINGS and (test_names or ending != "test")


def web_host(did: str) -> str | None:
    """The host of a did:web, which is a host name alone: no path, no port."""
    match = DID_WEB.fullmatch(did)
    return match[1] if match else None


def is_did(text: str) -> bool:
    """Whether *text* is a DID of a method that the AT Protocol allows."""
    return bool(DID_PLC.fullmatch(text)) or web_host(text) is not None


def _trim(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while start < end and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def _ascii_lower(text: str) -> str:
    # str.lower() would turn the Kelvin sign into k: another handle than was typed
    return text.lower() if text.isascii() else text
