"""Handle resolution: from a handle to its DID, by DNS, by the well-known file, by a resolver."""

import asyncio
from itertools import count

import pytest

from service.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.model import Credentials
from service.platforms import names
from service.platforms.bluesky import BlueskyPlatform

from .bluesky_login import CREDENTIALS, DID, HANDLE, OTHER_DID, PASSWORD
from .dns_server import NEVER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, TRUNCATED, Reply, text
from .internet import UNREACHABLE, WEB, Internet
from .raw import ENOUGH_SECONDS, Answer, RawServer, close_after, respond

RECORD = f"_atproto.{HANDLE}"
WELL_KNOWN = "/.well-known/atproto-did"
RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"
SERVER = "https://pds.example.com"
MINE = text(f"did={DID}")


@pytest.fixture(autouse=True)
def documented(internet: Internet) -> None:
    internet.document(DID, HANDLE, SERVER)


async def test_a_text_record_leads_to_the_account(internet: Internet) -> None:
    """The DID of the record, the handle, and the server of the document."""
    internet.handle(HANDLE, DID)
    account = await BlueskyPlatform(internet.outside()).identify(CREDENTIALS)
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
    """In whatever company and form DNS allows."""
    internet.dns.say(RECORD, "TXT", reply)
    assert await found(internet) == DID


@pytest.mark.parametrize(
    "reply", [NXDOMAIN, NODATA, Reply((text("v=spf1 -all"),))], ids=["no name", "no text", "others"]
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


@pytest.mark.parametrize("reply", [SERVFAIL, REFUSED, NEVER, TRUNCATED])
async def test_a_failing_dns_means_nothing_and_the_file_is_not_asked(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """Otherwise whoever can break a look-up could choose the way that a handle is resolved."""
    monkeypatch.setattr(names, "SECONDS", 0.15)
    internet.dns.say(RECORD, "TXT", reply)
    internet.site(HANDLE, WELL_KNOWN, respond(DID))
    assert await refused(internet) == "dns"
    assert internet.web.connections == 0
    assert internet.plc.connections == 0


@pytest.mark.parametrize(
    "texts",
    [
        (MINE, text(f"did={OTHER_DID}")),
        (MINE, text("did=")),
        (MINE, text("did=nonsense")),
        (text(f"did={DID} "),),
        (text("did="),),
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
        (respond(f"{DID}\n{OTHER_DID}"), "HANDLE_NOT_FOUND"),
        (respond(f"did={DID}"), "HANDLE_NOT_FOUND"),
        (respond(DID.encode("utf-16")), "HANDLE_NOT_FOUND"),
        (respond(b"\xff\xfe" * 100), "HANDLE_NOT_FOUND"),
        (respond("did:plc:" + "a" * 10_000), "HANDLE_NOT_FOUND"),
        (respond(" " * 4096 + DID), "HANDLE_NOT_FOUND"),
        (respond("a" * 600_000), "too_large"),
        (respond(DID, 301, location=f"https://www.{HANDLE}/"), "redirect"),
        (respond(DID, content_encoding="gzip"), "encoded"),
        (respond(DID, 201), "well_known_status"),
        (respond(DID, 206), "well_known_status"),
        (respond("", 204), "well_known_status"),
        (respond(DID, 400), "well_known_status"),
        (respond(DID, 401), "well_known_status"),
        (respond(DID, 403), "well_known_status"),
        (respond(DID, 429), "well_known_status"),
        (respond(DID, 500), "well_known_status"),
        (respond(DID, 503), "well_known_status"),
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
        (respond({"error": "UpstreamFailure"}, 400), "resolver_answer"),
        (respond({"error": ["InvalidRequest"]}, 400), "resolver_answer"),
        (respond({"did": DID}, 400), "resolver_answer"),
        (respond({"error": "InvalidRequest"}, 404), "resolver_answer"),
        (respond({"error": "InvalidRequest"}, 500), "resolver_answer"),
        (respond({"did": DID}, 500), "resolver_answer"),
        (respond({"did": DID}, 201), "resolver_answer"),
        (respond({}), "resolver_answer"),
        (respond({"did": None}), "resolver_answer"),
        (respond({"did": [DID]}), "resolver_answer"),
        (respond([DID]), "wrong_shape"),
        (respond('"did"'), "wrong_shape"),
        (respond("null"), "wrong_shape"),
        (respond("Bad Request", 400), "not_json"),
        (respond("<html>", 500), "not_json"),
        (respond(""), "not_json"),
        (respond(b'{"did": "\xff"}'), "not_json"),
        (respond("[" * 100_000), "not_json"),
        (respond("1" * 100_000), "not_json"),
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
    account = await BlueskyPlatform(internet.outside()).identify(
        Credentials(handle=handle, appPassword=PASSWORD)
    )
    assert account.username == handle


async def found(internet: Internet, resolver: RawServer | None = None) -> str:
    platform = BlueskyPlatform(internet.outside(resolver=resolver))
    return (await platform.identify(CREDENTIALS)).account_id


async def refused(internet: Internet, resolver: RawServer | None = None) -> str:
    """Why `identify` refuses: the cause told to callers, or the word for our own log."""
    async with asyncio.timeout(ENOUGH_SECONDS):
        with pytest.raises(ServiceError) as caught:
            await found(internet, resolver)
    if isinstance(caught.value, InvalidCredentials):
        return caught.value.metadata["cause"]
    assert isinstance(caught.value, PlatformUnavailable)
    assert PASSWORD not in repr(vars(caught.value))
    return caught.value.why
