"""Handle resolution: from a handle to its DID, by DNS, by the well-known file, by a resolver."""

import asyncio
from itertools import count

import pytest
from dns.rcode import Rcode

from service.domain.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.domain.model import Credentials
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.egress import dns as names

from .bluesky_login import CREDENTIALS, DID, HANDLE, OTHER_DID, PASSWORD
from .dns_server import NEVER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, TRUNCATED, Reply, text
from .internet import UNREACHABLE, WEB, Internet
from .raw import DEADLINE_SECONDS, Answer, RawServer, close_after, respond

RECORD = f"_atproto.{HANDLE}"
WELL_KNOWN = "/.well-known/atproto-did"
RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"
SERVER = "https://pds.example.com"
MINE = text(f"did={DID}")
FAILURES = [
    SERVFAIL,
    REFUSED,
    Reply(rcode=Rcode.NOTIMP),
    Reply(rcode=Rcode.FORMERR),
    NEVER,
    TRUNCATED,
]


@pytest.fixture(autouse=True)
def documented(internet: Internet) -> None:
    internet.document(DID, HANDLE, SERVER)


async def test_a_text_record_leads_to_the_account(internet: Internet) -> None:
    """The DID of the record, the handle, and the server of the document."""
    internet.handle(HANDLE, DID)
    account = await BlueskyPlatform(internet.context()).identify(CREDENTIALS)
    assert (account.account_id, account.username, account.origin) == (DID, HANDLE, SERVER)
    assert internet.dialled == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply((text("v=spf1 -all"), MINE, text("did:plc:notthis"), text("xdid=did:plc:x"))),
        Reply((MINE, text("did=", DID))),
        Reply((text("did=did:plc:", DID[8:]),)),
        Reply((MINE,), chain=("handles.example.net",)),
    ],
    ids=["among others", "twice the same", "in pieces", "behind an alias"],
)
async def test_a_text_record_is_found(internet: Internet, reply: Reply) -> None:
    """Beside any other records, and in any form that DNS allows."""
    internet.dns.say(RECORD, "TXT", reply)
    assert await found(internet) == DID


@pytest.mark.parametrize(
    "reply",
    [NXDOMAIN, NODATA, Reply((text("v=spf1 -all"),)), Reply((text("did="),))],
    ids=["no name", "no text", "others", "empty"],
)
async def test_without_a_record_the_well_known_file_counts(
    internet: Internet, reply: Reply
) -> None:
    """Asked over TLS at the handle's own host, white space around the DID allowed."""
    internet.dns.say(RECORD, "TXT", reply)
    internet.site(HANDLE, WELL_KNOWN, respond(f" {DID}\r\n"))
    assert await found(internet) == DID
    assert internet.dialled == [(WEB, 443)]


async def test_a_record_counts_before_the_file(internet: Internet) -> None:
    """Where there is a record, the file is not asked."""
    internet.handle(HANDLE, DID)
    internet.site(HANDLE, WELL_KNOWN, respond(OTHER_DID))
    assert await found(internet) == DID
    assert internet.web.connections == 0


@pytest.mark.parametrize("reply", FAILURES)
async def test_where_the_record_cannot_be_asked_for_the_file_counts(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """Some name servers refuse names with an underscore. The document still names the handle."""
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.3)
    internet.dns.say(RECORD, "TXT", reply)
    internet.site(HANDLE, WELL_KNOWN, respond(DID))
    assert await found(internet) == DID


@pytest.mark.parametrize("reply", FAILURES)
async def test_a_failing_dns_without_a_file_means_nothing(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """The record that could not be asked for may be there."""
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.3)
    internet.dns.say(RECORD, "TXT", reply)
    assert (await refused(internet)).startswith("dns")
    internet.site(HANDLE, WELL_KNOWN, respond("not here", 404))
    assert (await refused(internet)).startswith("dns")
    assert internet.plc.connections == 0


@pytest.mark.parametrize(
    "texts",
    [
        (MINE, text(f"did={OTHER_DID}")),
        (MINE, text("did=")),
        (MINE, text("did=nonsense")),
        (text(f"did={DID} "),),
        (text("did=did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N"),),
        (text("did=did:ethr:0xb9c5714089478a327f09197987f16f9e5d936e8a"),),
        (text(f"did={DID.upper()}"),),
        (text(f"did={DID}a"),),
        (text(f"did={DID[:-1]}"),),
        (text("did=did:plc:aaaabbbbccccddddeeee0189"),),
        (text("did=did:plc:../../etc/passwd"),),
    ],
    ids=count(),
)
async def test_conflicting_and_senseless_records_lead_nowhere(
    internet: Internet, texts: tuple[str, ...]
) -> None:
    """Several DIDs, what is no DID, and methods that are not supported: HANDLE_NOT_FOUND."""
    internet.dns.say(RECORD, "TXT", Reply(texts))
    internet.site(HANDLE, WELL_KNOWN, respond(DID))
    assert await refused(internet) == "HANDLE_NOT_FOUND"
    assert internet.web.connections == 0
    assert internet.plc.connections == 0


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (respond("not here", 404), "HANDLE_NOT_FOUND"),
        (respond("gone", 410), "HANDLE_NOT_FOUND"),
        (respond("<!doctype html><title>Alice</title>"), "HANDLE_NOT_FOUND"),
        (respond(""), "HANDLE_NOT_FOUND"),
        (respond(f"\n{DID}"), "HANDLE_NOT_FOUND"),
        (respond(f"did={DID}"), "HANDLE_NOT_FOUND"),
        (respond(DID.encode("utf-16")), "HANDLE_NOT_FOUND"),
        (respond(b"\xff\xfe" * 100), "HANDLE_NOT_FOUND"),
        (respond("did:plc:" + "a" * 10_000), "HANDLE_NOT_FOUND"),
        (respond(" " * 9000 + DID), "HANDLE_NOT_FOUND"),
        (respond("a" * 600_000), "HANDLE_NOT_FOUND"),
        (respond(DID, content_encoding="gzip"), "encoded"),
        (respond("", 204), "HANDLE_NOT_FOUND"),
        (respond("no", 301), "status_301"),
        (respond("no", 400), "status_400"),
        (respond("no", 401), "status_401"),
        (respond("no", 403), "status_403"),
        (respond("no", 429), "status_429"),
        (respond("no", 500), "status_500"),
        (respond("no", 503), "status_503"),
    ],
    ids=count(),
)
async def test_what_the_well_known_file_may_answer(
    internet: Internet, answer: Answer, outcome: str
) -> None:
    """404, 410 and what is no DID lead nowhere; every other answer but a DID means nothing."""
    internet.site(HANDLE, WELL_KNOWN, answer)
    assert await refused(internet) == outcome
    assert internet.plc.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        respond(f"\ufeff{DID}"),
        respond(f"{DID}\n{OTHER_DID}"),
        respond(f"\t{DID}\u00a0\u2003\r\n"),
        respond(" " * 4096 + DID),
        respond(f"{DID}\n" + "a" * 600_000),
        *(respond(DID, status) for status in (201, 203, 206, 301, 400, 403, 404, 410, 500, 503)),
    ],
    ids=count(),
)
async def test_what_the_reference_takes_is_taken(internet: Internet, answer: Answer) -> None:
    """The first line without white space, with anything after it, and with any status."""
    internet.site(HANDLE, WELL_KNOWN, answer)
    assert await found(internet) == DID


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        f"https://www.{HANDLE}/did",
        f"https://www.{HANDLE}:443/did",
        f"//www.{HANDLE}/did#part",
        f"HTTPS://WWW.{HANDLE}/did",
    ],
)
async def test_a_redirect_of_the_file_is_followed(
    internet: Internet, status: int, location: str
) -> None:
    """From the bare domain to its www, as many web servers do."""
    internet.site(HANDLE, WELL_KNOWN, respond("", status, location=location))
    internet.site(f"www.{HANDLE}", "/did", respond(DID))
    assert await found(internet) == DID
    assert [request.values("host")[0] for request in internet.web.requests] == [
        HANDLE,
        f"www.{HANDLE}",
    ]


async def test_three_redirects_are_followed_and_no_more(internet: Internet) -> None:
    """Relative ones, too."""
    internet.site(HANDLE, WELL_KNOWN, respond("", 308, location=f"{WELL_KNOWN}/"))
    internet.site(HANDLE, f"{WELL_KNOWN}/", respond("", 302, location="two"))
    internet.site(HANDLE, f"{WELL_KNOWN}/two", respond("", 302, location="./three"))
    internet.site(HANDLE, f"{WELL_KNOWN}/three", respond(DID))
    assert await found(internet) == DID
    internet.site(HANDLE, f"{WELL_KNOWN}/three", respond("", 302, location="/four"))
    internet.site(HANDLE, "/four", respond(DID))
    assert await refused(internet) == "redirect"
    assert internet.web.times(f"{HANDLE}/four") == 0


@pytest.mark.parametrize(
    ("location", "outcome"),
    [
        (f"http://{HANDLE}/did", "forbidden_origin"),
        (f"https://{HANDLE}:8443/did", "forbidden_origin"),
        (f"https://user:word@{HANDLE}/did", "redirect"),
        ("https://93.184.216.34/did", "forbidden_origin"),
        ("https://localhost/did", "forbidden_origin"),
        ("https://[::1]/did", "forbidden_origin"),
        ("file:///etc/passwd", "forbidden_origin"),
        ("https://inner.example.net/did", "HANDLE_NOT_FOUND"),
        ("https://nobody.example.net/did", "HANDLE_NOT_FOUND"),
        ("https://a b/", "forbidden_origin"),
        ("https://[", "forbidden_origin"),
        (WELL_KNOWN, "redirect"),
    ],
)
async def test_a_redirect_keeps_the_rules(internet: Internet, location: str, outcome: str) -> None:
    """Each hop is https on port 443 of a public name, at an address that was checked."""
    internet.dns.say("inner.example.net", "A", "10.0.0.1")
    internet.site(HANDLE, WELL_KNOWN, respond("", 302, location=location))
    assert await refused(internet) == outcome
    assert {address for address, _ in internet.dialled} == {WEB}
    assert internet.plc.connections == 0


@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_that_a_server_asks_for_is_passed_on(
    internet: Internet, raw: RawServer, status: int
) -> None:
    """By the host of the file, the directory and the resolver."""
    limited = respond("<html>", status, retry_after="600")
    cause = "BUSY" if status == 429 else "SERVER_ERROR"
    internet.site(HANDLE, WELL_KNOWN, limited)
    raw.on(RESOLVE, limited)
    for resolver, step in ((None, "HANDLE"), (raw, "HANDLE"), (None, "DOCUMENT")):
        if step == "DOCUMENT":
            internet.handle(HANDLE, DID)
            internet.plc.on(f"/{DID}", limited)
        with pytest.raises(PlatformUnavailable) as caught:
            await found(internet, resolver)
        assert caught.value.retry_after == 600
        expected = {"cause": cause, "step": step, "httpStatus": str(status)}
        assert caught.value.metadata == expected


@pytest.mark.parametrize("reply", FAILURES)
async def test_where_both_ways_fail_the_record_is_named(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """It takes precedence; errors of the host do not matter if there is a record."""
    monkeypatch.setattr(names, "QUERY_SECONDS", 0.3)
    internet.dns.say(RECORD, "TXT", reply)
    internet.authority.misnamed["bad.example.com"] = "other.example.com"
    redirect = respond("", 302, location="http://www.example.com/")
    for file in (respond("", 403), redirect, respond("", 302, location="https://bad.example.com/")):
        internet.site(HANDLE, WELL_KNOWN, file)
        internet.site("bad.example.com", "/", respond(DID))
        with pytest.raises(PlatformUnavailable) as caught:
            await found(internet)
        assert caught.value.metadata == {"cause": "DNS_FAILURE", "step": "HANDLE"}
        assert caught.value.retry_after == 30


async def test_a_handle_without_a_host_leads_nowhere(internet: Internet) -> None:
    """No record and no address is certain, and so is, to callers, one that is private; one that is
    dead is not."""
    assert await refused(internet) == "HANDLE_NOT_FOUND"
    internet.dns.say(HANDLE, "A", UNREACHABLE)
    assert await refused(internet) == "ConnectError"
    internet.dns.say(HANDLE, "A", "127.0.0.1")
    assert await refused(internet) == "HANDLE_NOT_FOUND"
    internet.dns.say(HANDLE, "A", SERVFAIL)
    assert await refused(internet) == "dns"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (respond({"error": "InvalidRequest", "message": "?"}, 400), "HANDLE_NOT_FOUND"),
        (respond({"error": "HandleNotFound"}, 400), "HANDLE_NOT_FOUND"),
        (respond({"did": "did:key:z6Mk"}), "HANDLE_NOT_FOUND"),
        (respond({"error": "UpstreamFailure"}, 400), "status_400"),
        (respond({"error": ["InvalidRequest"]}, 400), "status_400"),
        (respond({"did": DID}, 400), "status_400"),
        (respond({"error": "InvalidRequest"}, 404), "status_404"),
        (respond({"error": "InvalidRequest"}, 500), "status_500"),
        (respond({"did": DID}, 500), "status_500"),
        (respond({"did": DID}, 201), "status_201"),
        (respond({}), "resolver_answer"),
        (respond({"did": None}), "resolver_answer"),
        (respond({"did": [DID]}), "resolver_answer"),
        (respond([DID]), "wrong_shape"),
        (respond('"did"'), "wrong_shape"),
        (respond("null"), "wrong_shape"),
        (respond("Bad Request", 400), "not_json"),
        (respond("<html>", 500), "status_500"),
        (respond(""), "not_json"),
        (respond(b'{"did": "\xff"}'), "HANDLE_NOT_FOUND"),
        (respond("[" * 100_000), "not_json"),
        (respond("1" * 100_000), "wrong_shape"),
        (respond({"did": DID}, 307, location="https://elsewhere.example.com/"), "redirect"),
        (close_after(b""), "RemoteProtocolError"),
    ],
    ids=count(),
)
async def test_what_the_resolver_may_answer(
    internet: Internet, raw: RawServer, answer: Answer, outcome: str
) -> None:
    """Only a 400 that says so in XRPC JSON means that there is no such handle."""
    raw.on(RESOLVE, answer)
    assert await refused(internet, raw) == outcome
    assert internet.plc.connections == 0
    assert internet.dns.asked == []


async def test_the_resolver_alone_is_asked_where_one_is_set(
    internet: Internet, raw: RawServer
) -> None:
    """By the handle and nothing else; DNS and the handle's host are left alone."""
    raw.on(RESOLVE, respond({"did": DID}))
    assert await found(internet, raw) == DID
    [request] = raw.requests
    assert (request.method, request.target) == ("GET", f"{RESOLVE}?handle={HANDLE}")
    assert internet.dns.asked == []


async def test_a_long_handle_is_resolved_by_its_file(internet: Internet) -> None:
    """Where there is no room for the record's prefix there can be no record."""
    handle = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61))
    internet.site(handle, WELL_KNOWN, respond(DID))
    internet.document(DID, handle, SERVER)
    account = await BlueskyPlatform(internet.context()).identify(
        Credentials(handle=handle, appPassword=PASSWORD)
    )
    assert account.username == handle


async def found(internet: Internet, resolver: RawServer | None = None) -> str:
    platform = BlueskyPlatform(internet.context(resolver=resolver))
    return (await platform.identify(CREDENTIALS)).account_id


async def refused(internet: Internet, resolver: RawServer | None = None) -> str:
    """Return why `identify` fails: the cause in the reply, or the word for the log."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(ServiceError) as caught:
            await found(internet, resolver)
    if isinstance(caught.value, InvalidCredentials):
        return caught.value.metadata["cause"]
    assert isinstance(caught.value, PlatformUnavailable)
    assert PASSWORD not in repr(vars(caught.value))
    return caught.value.why
