"""The document of a did:web, which the TXT record names."""

from typing import Any

from tests.identity.situation import ACCOUNT, ERROR, NONE, Page, Situation, document, mine
from tests.identity.situations.documents import TEXT

NO = "NoSuchAccount"
PATH = "/.well-known/did.json"
OWN = "did:web:$handle"
ELSEWHERE = "did:web:id.$handle"


def _did(
    name: str, reference: str, ours: str, did: str, where: str, because: str = ""
) -> Situation:
    """A DID of that form, with the document *where* the reference looks for it."""
    pages = {where: document()}
    return Situation(name, reference, ours, because, txt=(mine(),), did=did, pages=pages)


def _page(
    name: str, reference: str, ours: str, page: Page, because: str = "", **more: Any
) -> Situation:
    """Another answer of the DID's host."""
    return Situation(name, reference, ours, because, txt=(mine(),), did=OWN, document=page, **more)


SITUATIONS: tuple[Situation, ...] = (
    Situation("the handle's host", ACCOUNT, ACCOUNT, txt=(mine(),), did=OWN),
    Situation("another host", ACCOUNT, ACCOUNT, txt=(mine(),), did=ELSEWHERE),
    Situation("named by the well-known file", ACCOUNT, ACCOUNT, file=Page(), did=OWN),
    Situation(
        "another host, named by the well-known file", ACCOUNT, ACCOUNT, file=Page(), did=ELSEWHERE
    ),
    _did("a path", ERROR, NO, "did:web:$handle:u:a", "$handle/u/a/did.json"),
    _did("a port", ACCOUNT, NO, "did:web:$handle%3A8443", f"$handle:8443{PATH}", "hosts alone"),
    _did("port 443", ACCOUNT, NO, "did:web:$handle%3A443", f"$handle{PATH}", "hosts alone"),
    _did("a port, not encoded", ERROR, NO, "did:web:$handle:8443", f"$handle:8443{PATH}"),
    _did("an encoded path", ACCOUNT, NO, "did:web:$handle%2Fu", f"$handle/u{PATH}", "hosts alone"),
    _did(
        "an encoded letter",
        ACCOUNT,
        NO,
        "did:web:id%2E$handle",
        f"id.$handle{PATH}",
        "one spelling",
    ),
    _did("capital letters", ACCOUNT, NO, "did:web:ID.$handle", f"id.$handle{PATH}", "one spelling"),
    _did("a user's name", ERROR, NO, "did:web:u%40$handle", f"$handle{PATH}"),
    _did("an address", ERROR, NO, "did:web:20.0.0.1", f"20.0.0.1{PATH}"),
    _did("no host", ERROR, NO, "did:web:", f"$handle{PATH}"),
    _page(
        "the document of another DID",
        ERROR,
        "PlatformUnavailable(another_document)",
        document(id="did:web:x.net"),
    ),
    _page("no handle in the document", ERROR, NO, document(alsoKnownAs=[])),
    _page("another handle in the document", NONE, NO, document(alsoKnownAs=["at://x.net"])),
    _page("no server in the document", ERROR, NO, document(service=[])),
    _page("not JSON", ERROR, "PlatformUnavailable(not_json)", Page("<p>")),
    _page("a list", ERROR, "PlatformUnavailable(wrong_shape)", Page("[]")),
    _page("a byte order mark", ACCOUNT, ACCOUNT, Page("\ufeff" + TEXT)),
    _page(
        "the type text/plain", ACCOUNT, ACCOUNT, Page(TEXT, headers={"content-type": "text/plain"})
    ),
    _page("status 203", ACCOUNT, ACCOUNT, Page(TEXT, 203)),
    *(
        _page(
            f"status {status}", ERROR, f"PlatformUnavailable(status_{status})", Page(TEXT, status)
        )
        for status in (404, 410, 500)
    ),
    _page(
        "a redirect to www",
        ERROR,
        "PlatformUnavailable(redirect)",
        Page("", 301, {"location": f"https://www.$handle{PATH}"}),
        pages={f"www.$handle{PATH}": document()},
    ),
    _page("200 KB", ACCOUNT, "PlatformUnavailable(too_large)", document(x="x" * 200_000), "limits"),
    _page(
        "compressed", ACCOUNT, "PlatformUnavailable(encoded)", Page(TEXT, gzip=True), "compressed"
    ),
    _page("sent in chunks", ACCOUNT, ACCOUNT, Page(TEXT, way="chunked")),
    _page("sent after a second", ACCOUNT, ACCOUNT, Page(TEXT, way="slow")),
    _page(
        "cut in the middle",
        ERROR,
        "PlatformUnavailable(RemoteProtocolError)",
        Page(TEXT, way="cut"),
    ),
    _page(
        "a certificate that is expired",
        ERROR,
        "PlatformUnavailable(certificate_expired)",
        document(),
        certificate="expired",
    ),
    _page(
        "a private address",
        ACCOUNT,
        "PlatformUnavailable(forbidden_address)",
        document(),
        "addresses",
        addresses={"$handle": ("10.0.0.1",)},
    ),
    _page(
        "no address",
        ERROR,
        "PlatformUnavailable(no_such_name)",
        document(),
        addresses={"$handle": ()},
    ),
)
