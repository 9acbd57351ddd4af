"""Requests that no server accepts, and their errors."""

from typing import Any

import pytest

from .caller import Caller
from .expected import refused


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, 'Missing required key "identifier" at $'),
        ({"identifier": "a"}, 'Missing required key "password" at $'),
        (
            {"identifier": "a", "password": None},
            "Expected string value type (got null) at $.password",
        ),
        (
            {"identifier": ["a", 1, 2], "password": "b"},
            'Expected string value type (got ["a", 1, ...]) at $.identifier',
        ),
        ([], "Expected object value type (got []) at $"),
    ],
    ids=["empty", "no password", "null", "list", "no object"],
)
async def test_ill_formed_login(anyone: Caller, body: Any, message: str) -> None:
    """The first fault of an ill-formed login is named, with its place."""
    answer = await anyone.ask("POST", "server.createSession", json=body)

    assert answer == refused(400, "InvalidRequest", message)


async def test_login_that_is_no_json(anyone: Caller) -> None:
    """A login has to be announced as JSON."""
    body = {"identifier": "a", "password": "b"}

    answer = await anyone.ask("POST", "server.createSession", data=body)

    kind = "application/x-www-form-urlencoded"
    message = f"Wrong request encoding (Content-Type): {kind}"
    assert answer == refused(400, "InvalidRequest", message)


async def test_login_of_150_kib(anyone: Caller) -> None:
    """A login beyond 150 KiB is refused unread."""
    expected = refused(413, "PayloadTooLargeError", "request entity too large")

    assert await anyone.log_in(password="x" * 150 * 1024) == expected


@pytest.mark.parametrize("method", ["server.refreshSession", "server.deleteSession"])
async def test_body_where_none_belongs(anyone: Caller, method: str) -> None:
    """A method without input takes no body."""
    token = (await anyone.session()).refresh

    answer = await anyone.ask("POST", method, token, json={})

    message = "A request body was provided when none was expected"
    assert answer == refused(400, "InvalidRequest", message)


@pytest.mark.parametrize(
    ("verb", "method"),
    [
        ("GET", "server.createSession"),
        ("POST", "server.describeServer"),
        ("GET", "unknown"),
        ("POST", "unknown"),
    ],
)
async def test_unknown_method(anyone: Caller, verb: str, method: str) -> None:
    """An unknown method, or HTTP method, is proxied, and there is no app view to answer it."""
    message = f"No service configured for com.atproto.{method}"

    assert await anyone.ask(verb, method) == refused(400, "InvalidRequest", message)
