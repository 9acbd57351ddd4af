"""Handles and DIDs: tidying of typed handles, and the forms that the AT Protocol allows.

Source: the AT Protocol specifications "Handle" and "DID".
"""

import re

from service.platforms.typed import trimmed

HANDLE = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII
)
RESERVED_TLDS = frozenset(
    ("alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion")
)
# bsky.app and other apps that show the same accounts use the same paths
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
    """Return the handle in *typed*, in lower case.

    Removes white space, invisible characters and bidi marks at the ends, one `@` or `at://`, and
    the URL of a profile page around the handle.
    """
    handle = trimmed(typed)
    bare = trimmed(handle[1:]) if handle.startswith("@") else handle
    if link := PROFILE_LINK.fullmatch(bare):
        handle = trimmed(link[1]).removeprefix("@")
    elif handle.lower().startswith("at://"):
        handle = handle[5:]
    else:
        handle = bare
    return _ascii_lower(trimmed(handle))


def is_handle(text: str, *, test_names: bool = False) -> bool:
    """Whether *text* is a handle that may be resolved. *test_names*: allow `.test`."""
    if not HANDLE.fullmatch(text):
        return False
    tld = text.rpartition(".")[2]
    return tld not in RESERVED_TLDS and (test_names or tld != "test")


def web_host(did: str) -> str | None:
    """Return the host of a did:web without path and port; None for any other text."""
    match = DID_WEB.fullmatch(did)
    return match[1] if match else None


def is_did(text: str) -> bool:
    """Whether *text* is a did:plc, or a did:web without path and port."""
    return bool(DID_PLC.fullmatch(text)) or web_host(text) is not None


def _ascii_lower(text: str) -> str:
    # str.lower() turns the Kelvin sign into k, which is a different handle
    return text.lower() if text.isascii() else text
