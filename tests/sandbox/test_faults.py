"""Faults: each as a caller meets it, over HTTP."""

import asyncio
import gzip
import json
import time
from typing import Any

import httpx
import pytest

from service.sandbox.accounts import Account
from service.sandbox.faults import (
    AnotherDid,
    AnotherEndpoint,
    AnotherHandle,
    AnyStatus,
    Compressed,
    Drip,
    Fault,
    Hang,
    NotJson,
    OpaqueTokens,
    Oversize,
    Redirect,
    Reset,
    Slow,
)
from service.sandbox.server import SandboxServer
from service.sandbox.world import World

from .caller import INVALID_LOGIN, REVOKED, SESSION, Caller, bearer, client, parts, refusal

USER = "user.bsky.social"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (AnyStatus(500), (500, "InternalServerError", "Internal Server Error")),
        (AnyStatus(502), (502, "UpstreamFailure", "Upstream Failure")),
        (AnyStatus(503), (503, "NotEnoughResources", "Not Enough Resources")),
        (AnyStatus(404), (404, "XRPCNotSupported", "XRPC Not Supported")),
        (AnyStatus(418), (418, "InvalidRequest", "Invalid Request")),
        (AnyStatus(599), (599, "InternalServerError", "Internal Server Error")),
        (AnyStatus(200), (200, "InvalidRequest", "Invalid Request")),
        (AnyStatus(401, "Mine"), (401, "Mine", "Mine")),
    ],
)
async def test_any_status(
    caller: Caller, server: SandboxServer, fault: Fault, expected: tuple[int, str, str]
) -> None:
    """With the error that XRPC has for it, or one of the test's own."""
    server.breakages.add(fault)

    answer = await caller.log_in(USER)

    assert refusal(answer) == expected
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(
    caller: Caller, server: SandboxServer, status: int
) -> None:
    """As HTTP has it."""
    server.breakages.add(AnyStatus(status))

    answer = await caller.log_in(USER)

    assert (answer.status_code, answer.content) == (status, b"")


async def test_a_redirect_names_its_url(caller: Caller, server: SandboxServer) -> None:
    """307, which asks to send the password on."""
    server.breakages.add(Redirect("https://elsewhere.example/xrpc?a=b"))

    answer = await caller.log_in(USER)

    assert answer.status_code == 307
    assert answer.headers["location"] == "https://elsewhere.example/xrpc?a=b"


async def test_a_page_of_html_is_no_json(caller: Caller, server: SandboxServer) -> None:
    """200, as a proxy that means well answers."""
    server.breakages.add(NotJson())

    answer = await caller.log_in(USER)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


async def test_an_oversized_answer_is_true_but_for_its_size(
    caller: Caller, server: SandboxServer, user: Account
) -> None:
    """A client that reads all of it accepts it."""
    server.breakages.add(Oversize(700_000))

    answer = await caller.log_in(USER)

    assert len(answer.content) > 700_000
    assert answer.json()["did"] == user.did


async def test_a_compressed_answer_comes_unasked(
    caller: Caller, server: SandboxServer, user: Account
) -> None:
    """In gzip, though nothing but identity was accepted."""
    server.breakages.add(Compressed())

    async with caller.http.stream(
        "GET", f"/{user.did}", headers={"accept-encoding": "identity"}
    ) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])

    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(raw))["id"] == user.did


async def test_a_reset_comes_in_the_middle(caller: Caller, server: SandboxServer) -> None:
    """Of the body, and as a reset; the next call finds a server that is well."""
    server.breakages.add(Reset(), calls=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /xrpc/_health HTTP/1.1\r\nhost: sandbox\r\n\r\n")

    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert (await caller.http.get("/xrpc/_health")).status_code == 200


async def test_a_reset_is_not_logged(
    caller: Caller, server: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is logged, as if it had crashed."""
    server.breakages.add(Reset())

    with pytest.raises(httpx.TransportError):
        await caller.log_in(USER)

    assert caplog.records == []


async def test_slowness_takes_its_time(caller: Caller, server: SandboxServer) -> None:
    """And is true in the end."""
    server.breakages.add(Slow(0.05))
    began = time.monotonic()

    session = await caller.session(USER)

    assert time.monotonic() - began >= 0.05
    assert session["handle"] == USER


async def test_a_drip_comes_byte_by_byte(caller: Caller, server: SandboxServer) -> None:
    """True in the end, were there a caller with so much time."""
    server.breakages.add(Drip(0.002))

    async with caller.http.stream("GET", "/xrpc/_health") as answer:
        pieces = [piece async for piece in answer.aiter_raw()]

    assert b"".join(pieces) == b'{"version":"sandbox"}'
    assert len(pieces) > 10


async def test_opaque_tokens_do_all_that_tokens_do(caller: Caller, server: SandboxServer) -> None:
    """They say nothing of themselves; their sessions stay opaque when the fault is long mended."""
    server.breakages.add(OpaqueTokens(), method="createSession", calls=1)
    opened = await caller.session(USER)
    renewed = (await caller.refresh(opened)).json()

    for session in (opened, renewed):
        for kind in ("accessJwt", "refreshJwt"):
            assert "." not in session[kind]
        assert (await caller.read(session)).json()["handle"] == USER
    assert (await caller.delete(renewed)).status_code == 200
    assert refusal(await caller.refresh(renewed)) == REVOKED
    forged = {"refreshJwt": renewed["refreshJwt"][:-4]}
    assert refusal(await caller.refresh(forged))[:2] == (400, "InvalidToken")
    assert parts((await caller.session(USER))["accessJwt"])


async def test_another_did(caller: Caller, server: SandboxServer, user: Account) -> None:
    """In a session, at the resolver and in the directory."""
    server.breakages.add(AnotherDid("did:plc:other"))

    assert (await caller.session(USER))["did"] == "did:plc:other"
    assert (await caller.resolve(USER)).json() == {"did": "did:plc:other"}
    assert (await caller.document(user.did)).json()["id"] == "did:plc:other"


async def test_another_handle(caller: Caller, server: SandboxServer, user: Account) -> None:
    """In a session, and as the name that the document says it is known by."""
    server.breakages.add(AnotherHandle("other.test"))

    assert (await caller.session(USER))["handle"] == "other.test"
    assert (await caller.document(user.did)).json()["alsoKnownAs"] == ["at://other.test"]


async def test_another_endpoint(caller: Caller, server: SandboxServer, user: Account) -> None:
    """In the directory's document, and in the copy that a session brings."""
    server.breakages.add(AnotherEndpoint("http://127.0.0.1:9"))

    for document in (
        (await caller.document(user.did)).json(),
        (await caller.session(USER))["didDoc"],
    ):
        assert document["service"][0]["serviceEndpoint"] == "http://127.0.0.1:9"


@pytest.mark.parametrize("fault", [AnotherDid(), AnotherEndpoint(), OpaqueTokens()])
async def test_errors_are_not_changed(caller: Caller, server: SandboxServer, fault: Fault) -> None:
    """There is nothing in it to lie about."""
    server.breakages.add(fault)

    assert refusal(await caller.log_in(USER, "wrong")) == INVALID_LOGIN


@pytest.mark.parametrize(
    ("kind", "given", "match"),
    [
        (AnyStatus, {"status": 99}, "status must be 200 to 599"),
        (AnyStatus, {"status": 600}, "status must be 200 to 599"),
        (Redirect, {"to": "elsewhere"}, r"to must be an http\(s\) URL"),
        (Redirect, {"to": "http://a b"}, r"to must be an http\(s\) URL"),
        (Slow, {"seconds": 0}, "seconds must be more than 0"),
        (Slow, {"seconds": float("nan")}, "seconds must be more than 0"),
        (Drip, {"seconds": -1.0}, "seconds must be more than 0"),
        (Oversize, {"size": 10**9}, "size must be .* at most 1000000"),
    ],
)
def test_invalid_settings_are_rejected(
    kind: type[Fault], given: dict[str, Any], match: str
) -> None:
    """The sentence names the field."""
    with pytest.raises(ValueError, match=match):
        kind(**given)


async def test_a_fault_is_for_its_method_alone(
    caller: Caller, server: SandboxServer, user: Account
) -> None:
    """The directory is a method, too: plc."""
    server.breakages.add(AnyStatus(500), method="resolveHandle")
    server.breakages.add(AnyStatus(501), method="plc")

    assert (await caller.log_in(USER)).status_code == 200
    assert (await caller.resolve(USER)).status_code == 500
    assert (await caller.document(user.did)).status_code == 501


async def test_a_fault_is_for_its_account_alone(
    caller: Caller, server: SandboxServer, world: World, user: Account
) -> None:
    """Whichever way a call says whose it is."""
    alice = world.find("alice.test")
    assert alice
    mine, hers = (
        await caller.session(USER),
        await caller.session("alice.test", "alic-eapp-pass-word"),
    )
    opaque = dict(mine)
    server.breakages.add(OpaqueTokens(), method="createSession", calls=1)
    opaque = await caller.session(USER)
    server.breakages.add(AnyStatus(500), account=user.did)

    for account, session, status in ((user, mine, 500), (alice, hers, 200)):
        for name in (account.handle.upper(), account.did, account.email):
            password = world.account(account.did).password
            assert (await caller.log_in(name, password)).status_code == status
        answers = [
            await caller.refresh(session),
            await caller.read(session),
            await caller.resolve(account.handle),
            await caller.repo_status(account.did),
            await caller.document(account.did),
            await caller.document(account.did.replace(":", "%3A")),
            await caller.delete(session),
        ]
        assert [answer.status_code for answer in answers] == [status] * 7
    assert (await caller.refresh(opaque)).status_code == 500
    garbage = {"refreshJwt": "a.b.c"}
    assert (await caller.refresh(garbage)).status_code == 400
    assert (await caller.http.get("/xrpc/_health")).status_code == 200


async def test_a_fault_is_for_a_number_of_calls(caller: Caller, server: SandboxServer) -> None:
    """And gone after them."""
    server.breakages.add(AnyStatus(503), calls=2)

    statuses = [(await caller.resolve(USER)).status_code for _ in range(3)]

    assert statuses == [503, 503, 200]
    assert list(server.breakages) == []


async def test_the_latest_fault_answers(caller: Caller, server: SandboxServer) -> None:
    """And those before it when it is used up."""
    server.breakages.add(AnyStatus(500))
    server.breakages.add(AnyStatus(501), calls=1)

    statuses = [(await caller.resolve(USER)).status_code for _ in range(2)]

    assert statuses == [501, 500]


async def test_calls_that_hang_continue_when_it_is_mended(
    caller: Caller, server: SandboxServer
) -> None:
    """With the truth, and also those that had used it up."""
    server.breakages.add(Hang(), calls=1)
    hanging = asyncio.create_task(caller.log_in(USER))
    await under_way(server)
    [breakage] = server.breakages
    assert breakage.left == 0
    assert not hanging.done()

    server.breakages.clear()

    assert (await hanging).status_code == 200
    assert list(server.breakages) == []


@pytest.mark.parametrize("fault", [Hang(), Slow(60.0), Drip(60.0)], ids=lambda fault: fault.name)
async def test_a_waiting_caller_may_disconnect(
    server: SandboxServer, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is left of the call, and nothing is logged."""
    server.breakages.add(fault, calls=1)
    before = asyncio.all_tasks()
    async with client(server.origin) as http:
        call = asyncio.create_task(http.get("/xrpc/_health"))
        await under_way(server)
        call.cancel()
    async with asyncio.timeout(5):
        while asyncio.all_tasks() != before:
            await asyncio.sleep(0)

    assert list(server.breakages) == []
    assert caplog.records == []


@pytest.mark.parametrize("fault", [Slow(60.0), Drip(60.0)], ids=lambda fault: fault.name)
async def test_mending_ends_every_wait(caller: Caller, server: SandboxServer, fault: Fault) -> None:
    """What is left of the answer then comes at once."""
    server.breakages.add(fault)
    call = asyncio.create_task(caller.http.get("/xrpc/_health"))
    await under_way(server)

    server.breakages.clear()

    assert (await call).json() == {"version": "sandbox"}


async def test_stopping_waits_for_no_call_that_hangs(world: World) -> None:
    """Nothing remains of it."""
    before = asyncio.all_tasks()
    server = SandboxServer(world)
    server.breakages.add(Hang())
    await server.start()
    async with client(server.origin) as http:
        call = asyncio.create_task(http.get("/xrpc/_health"))
        await under_way(server)

        await server.stop()

        assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], Exception)
    assert asyncio.all_tasks() == before


async def test_a_caller_who_hangs_up_early_uses_nothing_up(
    caller: Caller, server: SandboxServer
) -> None:
    """A call whose body never came is no call."""
    server.breakages.add(AnyStatus(500), calls=1)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {SESSION}createSession HTTP/1.1\r\nhost: sandbox\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        while not server.counts:
            await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()

    assert (await caller.resolve(USER)).status_code == 500


async def test_other_calls_are_answered_as_usual(caller: Caller, server: SandboxServer) -> None:
    """Though its body has been looked at."""
    server.breakages.add(Hang(), account="did:plc:another")

    session = await caller.session(USER)

    empty = await caller.http.post(
        f"{SESSION}refreshSession", headers=bearer(session, "refresh"), json={}
    )
    assert empty.status_code == 400
    assert (await caller.http.post(f"{SESSION}createSession", content=b"[")).status_code == 400
    assert server.counts[f"{SESSION}createSession"] == 2


async def under_way(server: SandboxServer) -> None:
    """Until a call has come that a fault holds up."""
    async with asyncio.timeout(5):
        while not any(each.held_up for each in server.breakages):
            await asyncio.sleep(0)
