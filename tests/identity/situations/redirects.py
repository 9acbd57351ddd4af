"""Redirects of the well-known file."""

from tests.identity.places import WEB
from tests.identity.situation import ACCOUNT, NONE, Page, Situation

REFUSED = "PlatformUnavailable(redirect)"
FORBIDDEN = "PlatformUnavailable(forbidden_origin)"
PATH = "/.well-known/atproto-did"
WWW = f"https://www.$handle{PATH}"


def to(location: str, status: int = 302, body: str = "") -> Page:
    return Page(body, status, {"location": location})


def _followed(
    name: str, location: str, where: str = f"www.$handle{PATH}", status: int = 302
) -> Situation:
    """A redirect to *location*, which has the file at *where*."""
    return Situation(name, ACCOUNT, ACCOUNT, file=to(location, status), pages={where: Page()})


def _hops(count: int) -> dict[str, Page]:
    """A chain of redirects; the first is that of the handle's host."""
    pages = {
        f"h{hop}.$handle/did": to(f"https://h{hop + 1}.$handle/did") for hop in range(1, count)
    }
    return {**pages, f"h{count}.$handle/did": Page()}


def _refused(name: str, location: str, because: str, where: str) -> Situation:
    return Situation(name, ACCOUNT, FORBIDDEN, because, file=to(location), pages={where: Page()})


SITUATIONS: tuple[Situation, ...] = (
    *(
        _followed(f"status {status} to www", WWW, status=status)
        for status in (301, 302, 303, 307, 308)
    ),
    _followed("to a path, without a host", "/did.txt", "$handle/did.txt"),
    _followed("to a path, without a slash", "did.txt", "$handle/.well-known/did.txt"),
    _followed("to the same with a slash", f"{PATH}/", f"$handle{PATH}/"),
    _followed("to a host, without a scheme", f"//www.$handle{PATH}"),
    _followed("to another domain", "https://h-$handle.other.net/x", "h-$handle.other.net/x"),
    _followed("to a host in capitals", f"HTTPS://WWW.$HANDLE{PATH}"),
    _followed("to an explicit port 443", f"https://www.$handle:443{PATH}"),
    _followed("to a query", f"{WWW}?user=a", f"www.$handle{PATH}"),
    _followed("to a fragment", f"{WWW}#did"),
    Situation("two redirects", ACCOUNT, ACCOUNT, file=to("https://h1.$handle/did"), pages=_hops(2)),
    Situation(
        "three redirects", ACCOUNT, ACCOUNT, file=to("https://h1.$handle/did"), pages=_hops(3)
    ),
    Situation(
        "four redirects",
        ACCOUNT,
        REFUSED,
        "redirects",
        file=to("https://h1.$handle/did"),
        pages=_hops(4),
    ),
    Situation(
        "a circle",
        NONE,
        REFUSED,
        file=to(WWW),
        pages={f"www.$handle{PATH}": to(f"https://$handle{PATH}")},
    ),
    Situation("to itself", NONE, REFUSED, file=to(PATH)),
    Situation(
        "to a page that does not exist",
        NONE,
        "NoSuchAccount",
        file=to(WWW),
        pages={"www.$handle/": Page()},
    ),
    Situation("to a host that does not exist", NONE, "NoSuchAccount", file=to(WWW)),
    Situation("to no URL", NONE, FORBIDDEN, file=to("https://[")),
    Situation("to an empty location", NONE, REFUSED, file=to("")),
    Situation("to another scheme", NONE, FORBIDDEN, file=to("ftp://www.$handle/")),
    Situation("to a data: URL with the DID", NONE, FORBIDDEN, file=to("data:text/plain,$did")),
    Situation("to an address in digits", NONE, FORBIDDEN, file=to(f"https://{WEB}/did")),
    Situation(
        "with the DID in its body, to www without a file",
        NONE,
        "NoSuchAccount",
        file=to(WWW, body="$did"),
        pages={"www.$handle/": Page()},
    ),
    Situation("without a location, with the DID", ACCOUNT, ACCOUNT, file=Page(status=302)),
    _refused("to http", f"http://www.$handle{PATH}", "plain http", f"www.$handle{PATH}"),
    Situation(
        "to http, and from there to https",
        ACCOUNT,
        FORBIDDEN,
        "plain http",
        file=to("http://www.$handle/a"),
        pages={"www.$handle/a": to("https://www.$handle/b"), "www.$handle/b": Page()},
    ),
    _refused(
        "to another port", f"https://www.$handle:8443{PATH}", "ports", f"www.$handle:8443{PATH}"
    ),
    Situation(
        "to a host with a private address",
        ACCOUNT,
        "NoSuchAccount",
        "addresses",
        file=to(WWW),
        pages={f"www.$handle{PATH}": Page()},
        addresses={"www.$handle": ("10.0.0.1",)},
    ),
    Situation(
        "to localhost",
        ACCOUNT,
        FORBIDDEN,
        "addresses",
        file=to("https://localhost/$handle"),
        pages={"localhost/$handle": Page()},
    ),
    Situation(
        "with a user's name, at the same host",
        NONE,
        REFUSED,
        file=to("https://u@$handle/did"),
        pages={"$handle/did": Page()},
    ),
)
