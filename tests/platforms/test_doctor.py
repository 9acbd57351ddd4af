"""Doctor: each step is shown, what keeps a connect from working is named, and no login is spent."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain.errors import ServiceError
from service.domain.model import PlatformUnavailableCause
from service.domain.steps import PlatformDeadline, platform_timeout
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.bluesky.doctor import Doctor, StepResult
from service.platforms.egress import dns as names

from .bluesky_login import CREATE, CREDENTIALS, DID, HANDLE
from .dns_server import NEVER, SERVFAIL, Reply, text
from .internet import UNREACHABLE, WEB, Internet, document
from .raw import Answer, RawServer, hang, respond

SERVER = "pds.example.com"
WELL_KNOWN = "/.well-known/atproto-did"
DESCRIBE = "/xrpc/com.atproto.server.describeServer"
STATUS = "/xrpc/com.atproto.sync.getRepoStatus"
ACTIVE = {"did": DID, "active": True}
STEPS = {
    "handle": True,
    "name servers": None,
    "text record": None,
    "file": None,
    "DID": True,
    "document": True,
    "back-link": True,
    "server": True,
    "address": True,
    "description": True,
    "account": True,
}
Spoil = Callable[[Internet], None]


@pytest.fixture(autouse=True)
def good(internet: Internet) -> None:
    """An account that can be connected."""
    internet.handle(HANDLE, DID)
    internet.document(DID, HANDLE, f"https://{SERVER}")
    internet.site(SERVER, DESCRIBE, respond({"did": f"did:web:{SERVER}"}))
    internet.site(SERVER, STATUS, respond(ACTIVE))


async def test_every_step_of_a_good_handle_is_shown(internet: Internet) -> None:
    """With its result; only unauthenticated requests are sent."""
    steps, refusal = await examined(internet, f" @{HANDLE.upper()}")
    assert refusal is None
    assert {result.name: result.is_fit for result in steps.values()} == STEPS
    assert steps["handle"].text == HANDLE
    assert steps["name servers"].text == "127.0.0.1"
    assert DID in steps["text record"].text
    assert steps["DID"].text == DID
    assert steps["document"].text == f"from {internet.plc.origin}"
    assert steps["server"].text == f"https://{SERVER}"
    assert steps["address"].text == WEB
    assert steps["account"].text == "active"
    assert {request.method for request in internet.web.requests + internet.plc.requests} == {"GET"}


def test_the_page_names_every_cause_and_every_step() -> None:
    """In docs/doctor.md."""
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == set(
        PlatformUnavailableCause
    )
    steps = re.findall(r"^\| ([a-zA-Z -]+) \|", page.split("| Step |")[1], re.MULTILINE)
    assert [step for step in steps if step.strip("-")] == list(STEPS)


def dns(name: str, kind: str, reply: Reply | str) -> Spoil:
    return lambda internet: internet.dns.say(name, kind, reply)


def answering(answer: Answer) -> Spoil:
    def spoil(internet: Internet) -> None:
        for path in (DESCRIBE, CREATE):
            internet.site(SERVER, path, answer)

    return spoil


def named(endpoint: str, handle: str = HANDLE) -> Spoil:
    return lambda internet: internet.document(DID, handle, endpoint)


def directory(answer: Answer) -> Spoil:
    return lambda internet: internet.plc.on(f"/{DID}", answer)


def misnamed(internet: Internet) -> None:
    internet.authority.misnamed["wrong.example.com"] = "other.example.com"
    internet.site("wrong.example.com", DESCRIBE, respond({}))
    internet.document(DID, HANDLE, "https://wrong.example.com")


CASES: dict[str, tuple[Spoil, str, str]] = {
    "silent name server": (dns(f"_atproto.{HANDLE}", "TXT", NEVER), "DID", "DNS_FAILURE"),
    "server without DNS": (dns(SERVER, "A", SERVFAIL), "address", "DNS_FAILURE"),
    "private server": (dns(SERVER, "A", "10.0.0.1"), "address", "ADDRESS_NOT_ALLOWED"),
    "plain http": (named("http://192.168.1.10"), "server", "ADDRESS_NOT_ALLOWED"),
    "no such server": (named("https://no.example.com"), "address", "ADDRESS_NOT_ALLOWED"),
    "certificate": (misnamed, "description", "TLS_FAILURE"),
    "dead server": (dns(SERVER, "A", UNREACHABLE), "description", "SERVER_UNREACHABLE"),
    "proxy's page": (answering(respond("<html>", 403)), "description", "UNEXPECTED_ANSWER"),
    "proxy's 502": (answering(respond("<html>", 502)), "description", "SERVER_ERROR"),
    "silent server": (answering(hang()), "description", "TIMEOUT"),
    "directory away": (directory(respond("", 500)), "document", "SERVER_ERROR"),
    "tombstone": (directory(respond("", 410)), "document", "HANDLE_NOT_FOUND"),
    "another handle": (named(f"https://{SERVER}", "bob.com"), "back-link", "HANDLE_NOT_FOUND"),
    "no server": (
        directory(respond(document(DID, HANDLE, "x") | {"service": []})),
        "server",
        "HANDLE_NOT_FOUND",
    ),
    "no account": (dns(f"_atproto.{HANDLE}", "TXT", text("v=spf1")), "DID", "HANDLE_NOT_FOUND"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
async def test_what_keeps_a_connect_from_working_is_named(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """At its step, which is the last one shown; a connect is refused for the same cause."""
    if case == "silent server":
        monkeypatch.setattr("service.platforms.bluesky.doctor.CONNECT_SECONDS", 1.0)
    if case == "silent name server":
        monkeypatch.setattr(names, "QUERY_SECONDS", 0.2)
    spoil, step, cause = CASES[case]
    spoil(internet)
    steps, refusal = await examined(internet, HANDLE)
    last = list(steps.values())[-1]
    assert (last.name, last.is_fit) == (step, False)
    assert refusal is not None
    assert refusal.metadata["cause"] == cause
    platform = BlueskyPlatform(internet.context())
    with pytest.raises(ServiceError) as caught:
        async with platform_timeout(PlatformDeadline(within(1 if case == "silent server" else 20))):
            await platform.log_in(CREDENTIALS, await platform.identify(CREDENTIALS))
    assert caught.value.metadata == refusal.metadata


@pytest.mark.parametrize(
    ("standing", "outcome"),
    [
        ({"did": DID, "active": False, "status": "deactivated"}, "deactivated"),
        ({"did": DID, "active": False, "status": "takendown"}, "taken down"),
        ({"did": DID, "active": False, "status": "suspended"}, "suspended"),
    ],
)
async def test_an_account_that_is_not_active_is_named(
    internet: Internet, standing: dict[str, object], outcome: str
) -> None:
    """A connect would find it by its login, and so spend one."""
    internet.site(SERVER, STATUS, respond(standing))
    steps, refusal = await examined(internet, HANDLE)
    assert (steps["account"].is_fit, steps["account"].text) == (False, outcome)
    assert refusal is not None


@pytest.mark.parametrize("answer", [respond({"error": "MethodNotImplemented"}, 501), hang()])
async def test_a_server_that_says_nothing_of_the_account_may_be_fit(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """Not every server software answers all questions."""
    monkeypatch.setattr("service.platforms.bluesky.doctor.CONNECT_SECONDS", 0.5)
    internet.site(SERVER, STATUS, answer)
    internet.site(SERVER, DESCRIBE, respond({"error": "MethodNotImplemented"}, 501))
    steps, refusal = await examined(internet, HANDLE)
    assert (steps["account"].is_fit, refusal) == (None, None)


async def test_the_other_way_is_shown_and_does_not_decide(internet: Internet) -> None:
    """Neither a failing record beside a good file, nor the reverse."""
    internet.dns.say(f"_atproto.{HANDLE}", "TXT", SERVFAIL)
    internet.site(HANDLE, WELL_KNOWN, respond(DID))
    steps, refusal = await examined(internet, HANDLE)
    assert refusal is None
    assert "report a failure" in steps["text record"].text
    assert DID in steps["file"].text


async def test_a_stranger_writes_nothing_to_the_terminal(internet: Internet) -> None:
    """Neither control characters nor pages of text."""
    internet.dns.say(f"_atproto.{HANDLE}", "TXT", Reply((text("v=spf1"),)))
    internet.site(HANDLE, WELL_KNOWN, respond(b"did:plc:\x1b[2J\x07" + b"x" * 5000))
    steps, _ = await examined(internet, HANDLE)
    assert all(result.text.isprintable() and len(result.text) < 250 for result in steps.values())


@pytest.mark.parametrize("typed", ["alice", "alice.local", "", "did:plc:x", "\x1b[2J"])
async def test_what_is_no_handle_is_said_so(internet: Internet, typed: str) -> None:
    """Nothing is asked."""
    steps, refusal = await examined(internet, typed)
    assert [result.is_fit for result in steps.values()] == [False]
    assert refusal is not None
    assert refusal.metadata["cause"] == "MALFORMED_HANDLE"
    assert (internet.dns.asked, internet.dialled) == ([], [])


async def test_a_resolver_that_is_set_is_asked_alone(internet: Internet, raw: RawServer) -> None:
    """Then neither DNS nor the file is shown."""
    raw.on("/xrpc/com.atproto.identity.resolveHandle", respond({"did": DID}))
    doctor = Doctor(internet.context(resolver=raw))
    steps = [result.name async for result in doctor.examine(HANDLE)]
    assert steps[:2] == ["handle", "DID"]
    assert doctor.refusal is None


async def examined(
    internet: Internet, typed: str
) -> tuple[dict[str, StepResult], ServiceError | None]:
    doctor = Doctor(internet.context())
    steps = {result.name: result async for result in doctor.examine(typed)}
    return steps, doctor.refusal


def within(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
