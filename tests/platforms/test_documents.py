"""Documents: from a DID to its document, to the handle it names back, to the account's server."""

import asyncio
import sys
from itertools import count
from typing import Any

import pytest

from service.domain.errors import InvalidCredentials, PlatformUnavailable, ServiceError
from service.domain.model import Account, Credentials
from service.platforms.bluesky.adapter import BlueskyPlatform

from .bluesky_login import CREDENTIALS, DID, HANDLE, OTHER_DID, PASSWORD
from .dns_server import NXDOMAIN, SERVFAIL
from .internet import WEB, Internet, document
from .raw import DEADLINE_SECONDS, Answer, respond

SERVER = "https://pds.example.com"
GOOD = document(DID, HANDLE, SERVER)
PDS = GOOD["service"][0]
WEB_DID = "did:web:id.example.com"
DID_JSON = "/.well-known/did.json"


def changed(**fields: object) -> bytes:
    """The good document with other *fields*; one that is None is left out."""
    return respond({key: value for key, value in (GOOD | fields).items() if value is not None})


def served(*services: object) -> bytes:
    return changed(service=list(services))


async def test_the_directory_is_asked_for_the_document(internet: Internet) -> None:
    """Once, at the DID's own path, and nothing is said of whom it is for."""
    internet.plc.on(f"/{DID}", respond(GOOD))
    assert await account(internet) == Account(DID, HANDLE, SERVER)
    [request] = internet.plc.requests
    assert (request.method, request.target) == ("GET", f"/{DID}")
    assert internet.dialled == []


@pytest.mark.parametrize(
    "answer",
    [
        changed(alsoKnownAs=[f"at://{HANDLE.upper()}"]),
        changed(alsoKnownAs=["https://alice.example", 5, None, [], "at://", f"at://{HANDLE}"]),
        changed(alsoKnownAs=[f"at://{DID}", "at://x.example.com/path", "at://x", f"at://{HANDLE}"]),
        changed(alsoKnownAs=[f"at://{HANDLE}", "at://second.example.com"]),
        changed(alsoKnownAs=[f"AT://{HANDLE}"]),
        served({**PDS, "id": f"{DID}#atproto_pds"}),
        served({**PDS, "serviceEndpoint": f"{SERVER}/"}),
        served({**PDS, "serviceEndpoint": f"{SERVER}:443"}),
        served({**PDS, "serviceEndpoint": SERVER.upper()}),
        served({"id": "#atproto_labeler", "type": "AtprotoLabeler", "serviceEndpoint": "x"}, PDS),
        served(PDS, {**PDS, "serviceEndpoint": "https://second.example.com"}),
        served("#atproto_pds", None, 7, [], {}, {"id": 5}, PDS),
    ],
    ids=count(),
)
async def test_what_a_document_may_look_like(internet: Internet, answer: Answer) -> None:
    """Capitals make no difference; the first handle and the first fitting service count, and what
    is neither is passed over."""
    internet.plc.on(f"/{DID}", answer)
    assert await account(internet) == Account(DID, HANDLE, SERVER)


@pytest.mark.parametrize(
    "answer",
    [
        changed(alsoKnownAs=None),
        changed(alsoKnownAs=[]),
        changed(alsoKnownAs=f"at://{HANDLE}"),
        changed(alsoKnownAs={f"at://{HANDLE}": 1}),
        changed(alsoKnownAs=[HANDLE]),
        changed(alsoKnownAs=[f"https://{HANDLE}", f"xt://{HANDLE}"]),
        changed(alsoKnownAs=["at://bob.example.com"]),
        changed(alsoKnownAs=["at://first.example.com", f"at://{HANDLE}"]),
        changed(alsoKnownAs=["at://first.test", f"at://{HANDLE}"]),
        changed(alsoKnownAs=[f"at://{HANDLE}.evil.example"]),
        changed(alsoKnownAs=[f"at://{HANDLE}/"]),
        changed(alsoKnownAs=[f"at://{HANDLE} "]),
        changed(alsoKnownAs=[f"at://@{HANDLE}"]),
        changed(alsoKnownAs=[[f"at://{HANDLE}"]]),
    ],
    ids=count(),
)
async def test_a_handle_without_a_back_link_has_no_account(
    internet: Internet, answer: Answer
) -> None:
    """No back-link or a false one, or one that another handle goes before: HANDLE_NOT_FOUND."""
    internet.plc.on(f"/{DID}", answer)
    assert await refused(internet) == "HANDLE_NOT_FOUND"


async def test_a_back_link_in_look_alike_letters_is_false(internet: Internet) -> None:
    """The Kelvin sign is no k, though Python's lower case makes it one."""
    internet.handle("kim.example.com", DID)
    internet.plc.on(f"/{DID}", changed(alsoKnownAs=["at://\u212aim.example.com"]))
    with pytest.raises(InvalidCredentials):
        await BlueskyPlatform(internet.context()).identify(
            Credentials(handle="kim.example.com", appPassword=PASSWORD)
        )


@pytest.mark.parametrize(
    "answer",
    [
        changed(service=None),
        changed(service=[]),
        changed(service=PDS),
        changed(service={"#atproto_pds": PDS}),
        changed(service="https://pds.example.com"),
        served({**PDS, "type": "AtprotoLabeler"}),
        served({**PDS, "type": ["AtprotoPersonalDataServer"]}),
        served({**PDS, "id": "#atproto_labeler"}),
        served({**PDS, "id": "#atproto_pds2"}),
        served({**PDS, "serviceEndpoint": [SERVER]}),
        served({"id": PDS["id"], "type": PDS["type"]}),
        served([PDS]),
        served({**PDS, "type": "Other", "serviceEndpoint": "https://wrong.example.com"}, PDS),
        served({**PDS, "serviceEndpoint": {"uri": "https://wrong.example.com"}}, PDS),
        served({**PDS, "id": f"{OTHER_DID}#atproto_pds"}),
        served({**PDS, "id": "x#atproto_pds"}),
    ],
    ids=count(),
)
async def test_an_account_without_a_server_is_not_found(internet: Internet, answer: Answer) -> None:
    """No service of the right id, or its first one of another type or shape: HANDLE_NOT_FOUND."""
    internet.plc.on(f"/{DID}", answer)
    assert await refused(internet) == "HANDLE_NOT_FOUND"


async def test_a_forbidden_server_is_not_passed_over_for_the_next(internet: Internet) -> None:
    """The first matching service counts, with any endpoint."""
    for endpoint in ("http://127.0.0.1:2583", f"{SERVER}/xrpc", ""):
        internet.plc.on(f"/{DID}", served({**PDS, "serviceEndpoint": endpoint}, PDS))
        assert await refused(internet) == "forbidden_origin"


# Python 3.14 reads as deep as the stack allows
TOO_DEEP = "another_document" if sys.version_info >= (3, 14) else "not_json"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (respond({"message": "DID not available"}, 410), "HANDLE_NOT_FOUND"),
        (respond({"message": "DID not registered"}, 404), "status_404"),
        (respond(GOOD, 400), "status_400"),
        (respond(GOOD, 429), "status_429"),
        (respond(GOOD, 500), "status_500"),
        (respond(b"HTTP/1.1", 101), "RemoteProtocolError"),
        (respond(GOOD, 302, location="/elsewhere"), "redirect"),
        (respond(GOOD, content_encoding="gzip"), "encoded"),
        (respond("<html>"), "not_json"),
        (respond(""), "not_json"),
        (respond('{"a":' * 20_000), "not_json"),
        (respond('{"id":' + "[" * 50_000 + "]" * 50_000 + "}"), TOO_DEEP),
        (respond([GOOD]), "wrong_shape"),
        (respond("null"), "wrong_shape"),
        (respond({}), "another_document"),
        (changed(id=None), "another_document"),
        (changed(id=OTHER_DID), "another_document"),
        (changed(id=DID.upper()), "another_document"),
        (changed(id=[DID]), "another_document"),
        (changed(filler="x" * 600_000), "too_large"),
    ],
    ids=count(),
)
async def test_what_the_directory_may_answer(
    internet: Internet, answer: Answer, outcome: str
) -> None:
    """A tombstone is certain. Every other answer but the document asked for means nothing: a
    directory that does not know a DID may be behind."""
    internet.plc.on(f"/{DID}", answer)
    assert await refused(internet) == outcome


async def test_a_web_did_resolves_at_its_host(internet: Internet) -> None:
    """Its document is asked for over TLS at the host itself, and not at the directory."""
    internet.site("id.example.com", DID_JSON, respond(document(WEB_DID, HANDLE, SERVER)))
    assert await account(internet, WEB_DID) == Account(WEB_DID, HANDLE, SERVER)
    assert internet.dialled == [(WEB, 443)]
    assert internet.plc.connections == 0


@pytest.mark.parametrize(
    "did",
    [
        "did:web:id.example.com:users:alice",
        "did:web:id.example.com:",
        "did:web:id.example.com%3A8443",
        "did:web:id.example.com:8443",
        "did:web:id.example%2Ecom",
        "did:web:id.example.com/path",
        "did:web:id.example.com#key",
        "did:web:id.example.com.",
        "did:web:ID.example.com",
        "did:web:user@id.example.com",
        "did:web:localhost",
        "did:web:localhost%3A1234",
        "did:web:127.0.0.1",
        "did:web:2130706433",
        "did:web:0x7f000001",
        "did:web:[::1]",
        "did:web:",
        "did:web:b\u00fccher.example.com",
    ],
)
async def test_a_web_did_is_a_host_alone(internet: Internet, did: str) -> None:
    """No path, no port, no percent, no bare address: refused with nothing looked up."""
    internet.web.on(DID_JSON, respond(document(did, HANDLE, SERVER)))
    internet.plc.on(f"/{did}", respond(document(did, HANDLE, SERVER)))
    internet.dns.say("id.example.com", "A", WEB)
    raw_did = "".join(f"\\{ord(c)}" if ord(c) > 126 else c for c in did)
    assert await refused(internet, raw_did) == "HANDLE_NOT_FOUND"
    assert internet.dns.times_asked("id.example.com") == 0
    assert (internet.dialled, internet.plc.connections) == ([], 0)


@pytest.mark.parametrize("status", [301, 404, 410, 500])
async def test_a_host_that_lost_the_document_proves_nothing(
    internet: Internet, status: int
) -> None:
    """A web DID has no tombstones: every other answer of its host is an outage."""
    internet.site("id.example.com", DID_JSON, respond("", status))
    assert await refused(internet, WEB_DID) in (f"status_{status}", "redirect")


async def test_a_web_did_at_no_public_host_proves_nothing(internet: Internet) -> None:
    """No such name, a failing look-up, an address that is not public."""
    outcomes = []
    for reply in (NXDOMAIN, SERVFAIL, "10.0.0.1", "169.254.169.254"):
        internet.dns.say("id.example.com", "A", reply)
        outcomes.append(await refused(internet, WEB_DID))
    assert outcomes == ["no_such_name", "dns", "forbidden_address", "forbidden_address"]
    assert internet.dialled == []


async def account(internet: Internet, did: str = DID) -> Account:
    internet.handle(HANDLE, did)
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await BlueskyPlatform(internet.context()).identify(CREDENTIALS)


async def refused(internet: Internet, did: str = DID) -> str:
    """Return why `identify` fails: the cause in the reply, or the word for the log."""
    with pytest.raises(ServiceError) as caught:
        await account(internet, did)
    error: Any = caught.value
    assert isinstance(error, (InvalidCredentials, PlatformUnavailable))
    return str(error.why if isinstance(error, PlatformUnavailable) else error.metadata["cause"])
