"""The document of a did:plc, which the TXT record names."""

import json
from typing import Any

from tests.identity.situation import (
    ACCOUNT,
    ERROR,
    NONE,
    SIGNING_KEY,
    Page,
    Situation,
    document,
    mine,
    service,
)

NO = "NoSuchAccount"
FORBIDDEN = "PlatformUnavailable(forbidden_origin)"
NOT_JSON = "PlatformUnavailable(not_json)"
SHAPE = "PlatformUnavailable(wrong_shape)"
OTHER = "did:plc:aaaabbbbccccddddeeeeffff"
USUAL: dict[str, Any] = document().body  # type: ignore[assignment]
TEXT = json.dumps(USUAL)
TYPE = "content-type"


def _doc(name: str, reference: str, ours: str, because: str = "", **changes: Any) -> Situation:
    """The usual document with *changes*; `context` stands for `@context`."""
    if "context" in changes:
        changes["@context"] = changes.pop("context")
    return Situation(name, reference, ours, because, txt=(mine(),), document=document(**changes))


def _page(name: str, reference: str, ours: str, page: Page, because: str = "") -> Situation:
    """Another answer of the directory."""
    return Situation(name, reference, ours, because, txt=(mine(),), document=page)


def _names(name: str, reference: str, ours: str, *names: object, because: str = "") -> Situation:
    """Other names in `alsoKnownAs`."""
    return _doc(name, reference, ours, because, alsoKnownAs=list(names))


def _server(name: str, reference: str, ours: str, because: str = "", **changes: Any) -> Situation:
    """The account server in other words."""
    return _doc(name, reference, ours, because, service=[service(**changes)])


def _endpoint(name: str, reference: str, ours: str, url: object, because: str = "") -> Situation:
    """Another address of the account server."""
    return _server(name, reference, ours, because, serviceEndpoint=url)


def at(server: str) -> str:
    """The account at another server."""
    return f"{ACCOUNT}: $did at {server}"


NAMES: tuple[Situation, ...] = (
    _doc("the usual document", ACCOUNT, ACCOUNT),
    _names("a web page before the handle", ACCOUNT, ACCOUNT, "https://x.net", "at://$handle"),
    _names("another handle after it", ACCOUNT, ACCOUNT, "at://$handle", "at://other.net"),
    _names("another handle before it", NONE, NO, "at://other.net", "at://$handle"),
    _names("the handle twice", ACCOUNT, ACCOUNT, "at://$handle", "at://$handle"),
    _names("no name", ERROR, NO),
    _doc("`alsoKnownAs` missing", ERROR, NO, alsoKnownAs=...),
    _doc("`alsoKnownAs` null", ERROR, NO, alsoKnownAs=None),
    _doc("`alsoKnownAs` a text", ERROR, NO, alsoKnownAs="at://$handle"),
    _doc("`alsoKnownAs` an object", ERROR, NO, alsoKnownAs={"0": "at://$handle"}),
    _names("a slash after the handle", NONE, NO, "at://$handle/"),
    _names("a path after the handle", NONE, NO, "at://$handle/app.bsky.feed.post"),
    _names("an @ before the handle", NONE, NO, "at://@$handle"),
    _names("a space after the handle", NONE, NO, "at://$handle "),
    _names("a line feed after the handle", NONE, NO, "at://$handle\n"),
    _names("a dot after the handle", NONE, NO, "at://$handle."),
    _names("the handle without at://", ERROR, NO, "$handle"),
    _names("one slash too few", ERROR, NO, "at:/$handle"),
    _names("a name below the handle", NONE, NO, "at://www.$handle"),
    _names("the handle in capitals", NONE, ACCOUNT, "at://$HANDLE", because="letter case"),
    _names("the scheme in capitals", ERROR, ACCOUNT, "AT://$handle", because="letter case"),
    _names("the DID before it", NONE, ACCOUNT, "at://$did", "at://$handle", because="first valid"),
    _names("`at://` before it", ERROR, ACCOUNT, "at://", "at://$handle", because="first valid"),
    _names("a number before it", ERROR, ACCOUNT, 1, "at://$handle", because="only what is used"),
)
SERVERS: tuple[Situation, ...] = (
    _server("the server's id with the DID", ACCOUNT, ACCOUNT, id="$did#atproto_pds"),
    _server("the server's id with another DID", ERROR, NO, id=f"{OTHER}#atproto_pds"),
    _server("the server's id with text before it", ERROR, NO, id="x#atproto_pds"),
    _server("the server's id with two marks", ERROR, NO, id="#x#atproto_pds"),
    _server("the server's id with the DID twice", ERROR, NO, id="$did$did#atproto_pds"),
    _server("the server's id with more after it", ERROR, NO, id="#atproto_pds2"),
    _server("the server's id without its mark", ERROR, NO, id="atproto_pds"),
    _server("the server's id in capitals", ERROR, NO, id="#ATPROTO_PDS"),
    _server("the server's id missing", ERROR, NO, id=...),
    _server("the server's type another", ERROR, NO, type="BskyFeedGenerator"),
    _server("the server's type in small letters", ERROR, NO, type="atprotopersonaldataserver"),
    _server("the server's type a list", ERROR, NO, type=["AtprotoPersonalDataServer"]),
    _server("the server's type missing", ERROR, NO, type=...),
    _server("more fields of the server", ACCOUNT, ACCOUNT, priority=1),
    _doc("no server", ERROR, NO, service=[]),
    _doc("`service` missing", ERROR, NO, service=...),
    _doc("`service` an object", ERROR, NO, service=service()),
    _doc(
        "two servers",
        ACCOUNT,
        ACCOUNT,
        service=[service(), service(serviceEndpoint="https://b.net")],
    ),
    _doc("other services before it", ACCOUNT, ACCOUNT, service=[service(id="#bsky_fg"), service()]),
    _doc("null before the server", ERROR, ACCOUNT, "only what is used", service=[None, service()]),
    _doc(
        "the id with another type before it",
        ERROR,
        NO,
        service=[service(type="X"), service()],
    ),
)
ENDPOINTS: tuple[Situation, ...] = (
    _endpoint("endpoint with a slash", ACCOUNT, ACCOUNT, "$server/"),
    _endpoint("endpoint with port 443", ACCOUNT, ACCOUNT, "$server:443"),
    _endpoint(
        "endpoint in capitals",
        at("https://a.other.net"),
        at("https://a.other.net"),
        "https://A.Other.NET",
    ),
    _endpoint(
        "endpoint with an xn-- name",
        at("https://xn--bcher-kva.net"),
        at("https://xn--bcher-kva.net"),
        "https://xn--bcher-kva.net",
    ),
    _endpoint("endpoint missing", ERROR, NO, ...),
    _endpoint("endpoint a number", ERROR, NO, 1),
    _endpoint("endpoint an object", ERROR, NO, {"url": "$server"}),
    _endpoint("endpoint a list", ERROR, NO, ["$server"]),
    _endpoint("endpoint empty", ERROR, FORBIDDEN, ""),
    _endpoint("endpoint without a scheme", ERROR, FORBIDDEN, "server.situations.net"),
    _endpoint("endpoint of another scheme", ERROR, FORBIDDEN, "wss://server.situations.net"),
    _endpoint("endpoint without a host", ERROR, FORBIDDEN, "https://"),
    _endpoint("endpoint with a space before it", ERROR, FORBIDDEN, " $server"),
    _endpoint("endpoint with an impossible port", ERROR, FORBIDDEN, "$server:99999"),
    _endpoint("endpoint with a path", at("$server/pds"), FORBIDDEN, "$server/pds", "origin alone"),
    _endpoint("endpoint with a query", at("$server?a=b"), FORBIDDEN, "$server?a=b", "origin alone"),
    _endpoint(
        "endpoint with a dot after the host", at("$server."), FORBIDDEN, "$server.", "origin alone"
    ),
    _endpoint(
        "endpoint with a user's name",
        at("https://u@a.net"),
        FORBIDDEN,
        "https://u@a.net",
        "origin alone",
    ),
    _endpoint(
        "endpoint not in ASCII",
        at("https://bücher.net"),
        FORBIDDEN,
        "https://bücher.net",
        "origin alone",
    ),
    _endpoint("endpoint with a space after it", ACCOUNT, FORBIDDEN, "$server ", "origin alone"),
    _endpoint("endpoint with another port", at("$server:8443"), FORBIDDEN, "$server:8443", "ports"),
    _endpoint("endpoint with http", at("http://a.net"), FORBIDDEN, "http://a.net", "plain http"),
    _endpoint(
        "endpoint at an IPv4 address",
        at("https://20.0.0.1"),
        FORBIDDEN,
        "https://20.0.0.1",
        "names alone",
    ),
    _endpoint(
        "endpoint at an address in one number",
        at("https://335544321"),
        FORBIDDEN,
        "https://335544321",
        "names alone",
    ),
    _endpoint(
        "endpoint at an IPv6 address",
        at("https://[2a00:20::1]"),
        FORBIDDEN,
        "https://[2a00:20::1]",
        "names alone",
    ),
    _endpoint(
        "endpoint at localhost",
        at("https://localhost"),
        FORBIDDEN,
        "https://localhost",
        "names alone",
    ),
)
DOCUMENTS: tuple[Situation, ...] = (
    _doc("the document of another DID", ERROR, "PlatformUnavailable(another_document)", id=OTHER),
    _doc("`id` missing", ERROR, "PlatformUnavailable(another_document)", id=...),
    _doc("`id` with a space after it", ERROR, "PlatformUnavailable(another_document)", id="$did "),
    _doc("no signing key", ERROR, ACCOUNT, "only what is used", verificationMethod=...),
    _doc(
        "a signing key that is none",
        ERROR,
        ACCOUNT,
        "only what is used",
        verificationMethod=[
            {
                "id": "#atproto",
                "type": "Multikey",
                "controller": "$did",
                "publicKeyMultibase": "zzz",
            }
        ],
    ),
    _doc(
        "`verificationMethod` a text",
        ERROR,
        ACCOUNT,
        "only what is used",
        verificationMethod=SIGNING_KEY,
    ),
    _doc("`@context` of another kind", ERROR, ACCOUNT, "only what is used", context=1),
    _doc("`@context` missing", ACCOUNT, ACCOUNT, context=...),
    _doc("more fields", ACCOUNT, ACCOUNT, updated="2026-01-01", _x={"a": [1, None, True]}),
    _doc("100 KB of more fields", ACCOUNT, ACCOUNT, x="x" * 100_000),
    _doc(
        "200 KB of more fields",
        ACCOUNT,
        "PlatformUnavailable(too_large)",
        "limits",
        x="x" * 200_000,
    ),
    _page(
        "20,000 lists in each other",
        ACCOUNT,
        NOT_JSON,
        Page(TEXT[:-1] + ',"x":' + "[" * 20_000 + "]" * 20_000 + "}"),
        "limits",
    ),
    _page(
        "a field twice: the last one counts",
        ACCOUNT,
        ACCOUNT,
        Page(TEXT.replace('{"@context"', '{"id": "x", "@context"', 1)),
    ),
    _page("a byte order mark", ACCOUNT, ACCOUNT, Page("\ufeff" + TEXT)),
    _page("spaces and lines around it", ACCOUNT, ACCOUNT, Page(f"\r\n\t {TEXT}\n\n")),
    _page("in UTF-16", ERROR, NOT_JSON, Page(TEXT, encoding="utf-16")),
    _page("NaN in it", ERROR, NOT_JSON, Page(TEXT[:-1] + ',"x":NaN}')),
    _page("not JSON", ERROR, NOT_JSON, Page("<p>")),
    _page("JSON cut short", ERROR, NOT_JSON, Page(TEXT[:-1])),
    _page("text after the JSON", ERROR, NOT_JSON, Page(TEXT + "x")),
    _page("an empty answer", ERROR, NOT_JSON, Page("")),
    _page("a list", ERROR, SHAPE, Page([USUAL])),
    _page("null", ERROR, SHAPE, Page("null")),
    _page("the type text/html", ACCOUNT, ACCOUNT, Page(TEXT, headers={TYPE: "text/html"})),
    _page(
        "the type application/did+ld+json",
        ACCOUNT,
        ACCOUNT,
        Page(TEXT, headers={TYPE: "application/did+ld+json"}),
    ),
    _page("status 203", ACCOUNT, ACCOUNT, Page(TEXT, 203)),
    *(
        _page(
            f"status {status}", ERROR, f"PlatformUnavailable(status_{status})", Page(TEXT, status)
        )
        for status in (400, 403, 404, 429, 500, 503)
    ),
    _page("status 410, as of a tombstone", ERROR, NO, Page(TEXT, 410)),
    _page(
        "a redirect at the directory",
        ERROR,
        "PlatformUnavailable(redirect)",
        Page("", 302, {"location": "/$did.json"}),
    ),
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
)
SITUATIONS: tuple[Situation, ...] = (*NAMES, *SERVERS, *ENDPOINTS, *DOCUMENTS)
