"""The well-known file, where there is no TXT record."""

from tests.identity.situation import ACCOUNT, ERROR, NONE, Fault, Page, Situation

NO = "NoSuchAccount"
PATH = "/.well-known/atproto-did"
HTML = "<!doctype html><p>There is no such page.</p>"
FOUND: dict[str, Page] = {
    "the DID alone": Page(),
    "a line feed after it": Page("$did\n"),
    "a carriage return and a line feed after it": Page("$did\r\n"),
    "a second line": Page("$did\nand more\n"),
    "another DID in the second line": Page("$did\ndid:plc:aaaabbbbccccddddeeeeffff"),
    "spaces before and after it": Page("  $did  "),
    "tabs before and after it": Page("\t$did\t\n"),
    "a no-break space after it": Page("$did\u00a0\n"),
    "a vertical tab and a form feed after it": Page("$did\x0b\x0c"),
    "an ideographic space before it": Page("\u3000$did"),
    "a byte order mark before it": Page("\ufeff$did"),
    "a byte order mark after it": Page("$did\ufeff"),
    "bytes that are not UTF-8 in the second line": Page(b"$did\n\xff\xfe"),
    "64 KB of other lines": Page("$did\n" + "x\n" * 32_000),
    "the type text/html": Page(headers={"content-type": "text/html"}),
    "the type application/json": Page(headers={"content-type": "application/json"}),
    "the type application/octet-stream": Page(headers={"content-type": "application/octet-stream"}),
    "an empty type": Page(headers={"content-type": ""}),
    "a charset that is not true": Page(headers={"content-type": "text/plain; charset=utf-16"}),
    "a charset that does not exist": Page(headers={"content-type": "text/plain; charset=x"}),
    "sent in chunks": Page(way="chunked"),
    "sent byte by byte": Page(way="pieces"),
    "sent after a second": Page(way="slow"),
    "early hints before it": Page(way="hints"),
}
NOT_FOUND: dict[str, Page] = {
    "an empty file": Page(""),
    "an empty first line": Page("\n$did"),
    "an HTML page": Page(HTML),
    "an HTML page with the DID in it": Page("<p>$did</p>"),
    "JSON": Page('{"did":"$did"}'),
    "`did=` before it": Page("did=$did"),
    "quotation marks around it": Page('"$did"'),
    "in capitals": Page("DID:PLC:AAAABBBBCCCCDDDDEEEEFFFF"),
    "UTF-16": Page(encoding="utf-16"),
    "two byte order marks of UTF-8 read as Latin-1": Page("ï»¿$did"),
}
NOT_A_DID: dict[str, Page] = {
    "text after it": Page("$did and more"),
    "9 KB of spaces after it, and more": Page("$did" + " " * 9000 + "x"),
    "a carriage return alone between two lines": Page("$did\rmore"),
    "a zero-width space after it": Page("$did\u200b"),
    "a next-line character after it": Page("$did\u0085"),
    "a file separator after it": Page("$did\x1c"),
    "a NUL after it": Page("$did\x00"),
    "a byte that is not UTF-8 after it": Page(b"$did\xff"),
    "a method that is not one of the AT Protocol": Page("did:key:zQ3shokFTS3brHcDQrn82RU"),
    "`did:` alone": Page("did:"),
}
BODY_STATUSES = (201, 202, 203, 206, 300, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503)
ABSENT = (404, 410)
BROKEN: dict[str, tuple[Page, str]] = {
    "cut in the middle": (Page(way="cut"), "PlatformUnavailable(RemoteProtocolError)"),
    "closed without an answer": (Page(way="reset"), "PlatformUnavailable(RemoteProtocolError)"),
}
CERTIFICATES: dict[Fault, str] = {
    "expired": "expired",
    "misnamed": "of_another_name",
    "self-signed": "not_trusted",
}


def _found(name: str, page: Page) -> Situation:
    return Situation(name, ACCOUNT, ACCOUNT, file=page)


SITUATIONS: tuple[Situation, ...] = (
    *(_found(name, page) for name, page in FOUND.items()),
    *(Situation(name, NONE, NO, file=page) for name, page in NOT_FOUND.items()),
    *(Situation(name, ERROR, NO, file=page) for name, page in NOT_A_DID.items()),
    *(_found(f"status {status}, with the DID", Page(status=status)) for status in BODY_STATUSES),
    *(
        Situation(
            f"status {status}, without a DID",
            NONE,
            NO if status < 300 or status in ABSENT else f"PlatformUnavailable(status_{status})",
            file=Page(HTML, status),
        )
        for status in BODY_STATUSES
    ),
    Situation("status 204", NONE, NO, file=Page("", 204)),
    Situation("status 304", NONE, "PlatformUnavailable(status_304)", file=Page("", 304)),
    *(Situation(name, NONE, ours, file=page) for name, (page, ours) in BROKEN.items()),
    Situation("never finished", ERROR, "PlatformUnavailable(timeout)", file=Page(way="hang")),
    Situation(
        "1 MB of other lines",
        ACCOUNT,
        ACCOUNT,
        file=Page("$did\n" + "x" * 1_000_000),
    ),
    Situation(
        "compressed, which was not requested",
        ACCOUNT,
        "PlatformUnavailable(encoded)",
        "compressed",
        file=Page(gzip=True),
    ),
    *(
        Situation(
            f"a certificate that is {wrong}",
            NONE,
            f"PlatformUnavailable(certificate_{cause})",
            file=Page(),
            certificate=wrong,
        )
        for wrong, cause in CERTIFICATES.items()
    ),
)
