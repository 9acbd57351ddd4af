"""The wire: bodies, verbs and methods that the server does not take, and its counts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.sandbox.server import SandboxServer

from .caller import SESSION, Caller, refusal

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, 'Missing required key "identifier" at $'),
        ({"identifier": "a"}, 'Missing required key "password" at $'),
        (
            {"identifier": 1, "password": None},
            "Expected string value type (got 1) at $.identifier",
        ),
        (
            {"identifier": "a", "password": None},
            "Expected string value type (got null) at $.password",
        ),
        (
            {"identifier": ["a", 1, 2], "password": "b"},
            'Expected string value type (got ["a", 1, ...]) at $.identifier',
        ),
        (
            {"identifier": {"a": 1}, "password": "b"},
            'Expected string value type (got {"a": ...}) at $.identifier',
        ),
        (
            {"identifier": "a", "password": "b", "allowTakendown": "b" * 48},
            f'Expected boolean value type (got "{"b" * 47}…") at $.allowTakendown',
        ),
        ([], "Expected object value type (got []) at $"),
    ],
)
async def test_an_ill_formed_login_is_an_error(caller: Caller, body: Any, message: str) -> None:
    """The first fault is named, with its place."""
    answer = await caller.http.post(f"{SESSION}createSession", json=body)

    assert refusal(answer) == (400, "InvalidRequest", message)


@pytest.mark.parametrize("body", ["{", "null", '"x"', "{}x", "{'a': 1}"])
async def test_a_body_that_is_not_json_is_refused(caller: Caller, body: str) -> None:
    """JSON that is no object or array counts as none."""
    answer = await caller.http.post(f"{SESSION}createSession", content=body, headers=JSON)

    assert refusal(answer)[:2] == (400, "SyntaxError")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"content-type": "text/plain"}, "Wrong request encoding (Content-Type): text/plain"),
        ({}, "Request encoding (Content-Type) required but not provided"),
    ],
)
async def test_a_body_of_another_kind_is_refused(
    caller: Caller, headers: dict[str, str], message: str
) -> None:
    """JSON has to be announced as such."""
    answer = await caller.http.post(f"{SESSION}createSession", content=b"{}", headers=headers)

    assert refusal(answer) == (400, "InvalidRequest", message)


async def test_a_login_without_a_body_is_refused(caller: Caller) -> None:
    """No body at all is not the same as an empty one."""
    request = caller.http.build_request("POST", f"{SESSION}createSession", headers=JSON)
    del request.headers["content-length"]

    expected = "A request body is expected but none was provided"
    assert refusal(await caller.http.send(request)) == (400, "InvalidRequest", expected)


async def test_a_body_beyond_150_kib_is_refused(caller: Caller) -> None:
    """The server says so instead of reading it as a login."""
    answer = await caller.log_in("user.bsky.social", "x" * 150 * 1024)

    assert refusal(answer) == (413, "PayloadTooLargeError", "request entity too large")


async def test_a_chunked_body_is_read(caller: Caller) -> None:
    """A length need not be known in advance."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"identifier": "user.bsky.social",'
        yield b'"password": "abcd-efgh-ijkl-mnop"}'

    answer = await caller.http.post(f"{SESSION}createSession", content=chunks(), headers=JSON)

    assert answer.status_code == 200


async def test_a_body_where_none_belongs_is_refused(caller: Caller) -> None:
    """Methods without input take none, but an empty body is let pass."""
    session = await caller.session("user.bsky.social")
    headers = {"authorization": f"Bearer {session['refreshJwt']}"}
    path = f"{SESSION}refreshSession"

    expected = (400, "InvalidRequest", "A request body was provided when none was expected")
    assert refusal(await caller.http.post(path, headers=headers, json={})) == expected
    assert (await caller.http.post(path, headers=headers, content=b"")).status_code == 200


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("GET", "com.example.unknown", "No service configured for com.example.unknown"),
        ("POST", "com.example.unknown", "No service configured for com.example.unknown"),
        (
            "GET",
            "com.atproto.server.createSession",
            "No service configured for com.atproto.server.createSession",
        ),
        (
            "POST",
            "com.atproto.server.describeServer",
            "No service configured for com.atproto.server.describeServer",
        ),
        ("PUT", "com.atproto.server.createSession", "XRPC requests only supports GET and POST"),
        ("GET", "", "invalid xrpc path"),
        ("GET", "a/b", "invalid xrpc path"),
        ("GET", "com.atproto..x", "invalid xrpc path"),
        ("POST", "_health", "invalid xrpc path"),
    ],
)
async def test_an_unknown_method_is_an_error(
    caller: Caller, verb: str, path: str, expected: str
) -> None:
    """Unknown methods, wrong verbs and crooked paths are invalid requests."""
    answer = await caller.http.request(verb, f"/xrpc/{path}")

    assert refusal(answer) == (400, "InvalidRequest", expected)


async def test_reading_a_session_by_post_is_a_token_of_the_wrong_method(caller: Caller) -> None:
    """The one method with an answer of its own to the wrong verb."""
    answer = await caller.http.post(f"{SESSION}getSession")

    assert refusal(answer) == (400, "InvalidToken", "Bad token method")


async def test_the_server_describes_itself(caller: Caller) -> None:
    """What a client asks first, with the headers that it expects."""
    answer = await caller.http.get(f"{SESSION}describeServer")

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["did"] == "did:web:localhost"
    assert answer.json()["inviteCodeRequired"] is False


async def test_the_server_is_healthy(caller: Caller) -> None:
    """Health is asked under /xrpc/, as at the real server, by GET or HEAD."""
    assert (await caller.http.get("/xrpc/_health")).json() == {"version": "sandbox"}
    assert (await caller.http.head("/xrpc/_health")).status_code == 200


async def test_calls_are_counted_by_path(caller: Caller, server: SandboxServer) -> None:
    """Every call counts, refused ones too; asking for the counts does not."""
    await caller.log_in("user.bsky.social")
    await caller.log_in("user.bsky.social", "wrong")
    await caller.resolve("user.bsky.social")
    await caller.document("did:plc:unknown")

    expected = {
        f"{SESSION}createSession": 2,
        "/xrpc/com.atproto.identity.resolveHandle": 1,
        "/did:plc:unknown": 1,
    }
    assert server.counts == expected
    assert (await caller.http.get("/__counts")).json() == expected
    assert server.counts["/xrpc/never"] == 0
