"""Routes: the response of each, and what all have in common."""

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.transport.http.routes import ROUTES
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running, running
from tests.transport.http.edge import Edge

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

PASSWORD = "abcd-efgh-ijkl-mnop"
KEYED = [(route.verb, re.sub(r"{\w+}", "prof_x", route.path)) for route in ROUTES]


async def test_connect(edge: Edge, sandbox: SandboxBluesky) -> None:
    """201 with exactly the specification's reply. A profile is created unless one is named."""
    person, other = await sandbox.person(), await sandbox.person()
    answer = await edge.connect(person.handle, person.app_password)
    made = answer.json()
    key = made["profileKey"]
    assert (answer.status_code, made) == (
        201,
        {"profileKey": key, "platform": "bluesky", "username": person.handle},
    )
    again = await edge.connect(person.handle, person.app_password, profileKey=key)
    assert (again.status_code, again.json()) == (201, made)
    refused = await edge.connect(other.handle, other.app_password, profileKey=key)
    assert (refused.status_code, refused.json()) == (
        400,
        {
            "error": "PROFILE_ALREADY_EXISTS",
            "message": "Profile for this platform already exists",
        },
    )


async def test_errors_are_the_specifications(edge: Edge) -> None:
    """Status, code and message are exact. No other field is sent: causes are for gRPC only."""
    wrong = await edge.connect("user.bsky.social", "wxyz-wxyz-wxyz-wxyz")
    assert (wrong.status_code, wrong.json()) == (
        401,
        {"error": "INVALID_CREDENTIALS", "message": "Invalid Bluesky credentials"},
    )
    absent = await edge.connect("user.bsky.social", PASSWORD, profileKey="prof_absent")
    assert (absent.status_code, absent.json()) == (
        404,
        {"error": "PROFILE_NOT_FOUND", "message": "Profile not found"},
    )
    oauth = await edge.connect("user.bsky.social", PASSWORD, platform="linkedin")
    assert (oauth.status_code, oauth.json()) == (
        400,
        {
            "error": "USE_GET_FOR_OAUTH",
            "message": "linkedin requires OAuth. Use GET /profiles/connect?platform=linkedin"
            "&apiKey=YOUR_KEY&returnUrl=YOUR_URL",
        },
    )


async def test_a_profile_is_created_read_listed_and_deleted(
    edge: Edge, sandbox: SandboxBluesky
) -> None:
    """Every field is present, also `false` and empty lists; unset ones are null."""
    created = await edge.ask("POST", "/profiles/create", json={"profileName": "Mine ☺"})
    key = created.json()["profileKey"]
    assert (created.status_code, created.json()) == (
        201,
        {"profileKey": key, "profileName": "Mine ☺"},
    )
    unnamed = (await edge.ask("POST", "/profiles/create")).json()
    assert unnamed["profileName"] is None
    read = (await edge.ask("GET", f"/profiles/{unnamed['profileKey']}")).json()
    created_at = read.pop("createdAt")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", created_at)
    assert read == {**unnamed, "connectedPlatforms": []}

    person = await sandbox.person()
    await edge.connect(person.handle, person.app_password, profileKey=key)
    profile = (await edge.ask("GET", f"/profiles/{key}")).json()
    [connection] = profile["connectedPlatforms"]
    assert (connection["platform"], connection["username"]) == ("bluesky", person.handle)
    assert connection["needsReconnect"] is False
    assert connection["state"] == "CONNECTION_STATE_HEALTHY"
    for unset in ("expiresAt", "daysUntilExpiry", "reconnectReason"):
        assert connection[unset] is None
    listed = (await edge.ask("GET", "/profiles")).json()
    assert listed["nextPageToken"] == ""
    assert [one["profileKey"] for one in listed["profiles"]] == [key, unnamed["profileKey"]]

    gone = await edge.ask("DELETE", f"/profiles/{key}/platforms/bluesky")
    assert (gone.status_code, gone.json()) == (
        200,
        {"message": "Platform disconnected successfully"},
    )
    again = await edge.ask("DELETE", f"/profiles/{key}/platforms/bluesky")
    assert (again.status_code, again.json()["error"]) == (404, "PLATFORM_NOT_CONNECTED")
    deleted = await edge.ask("DELETE", f"/profiles/{key}")
    assert (deleted.status_code, deleted.json()) == (
        200,
        {"message": "Profile deleted successfully"},
    )
    assert (await edge.ask("DELETE", f"/profiles/{key}")).status_code == 404


async def test_pages(edge: Edge, sandboxed: Running) -> None:
    """`pageSize`, `pageToken`, `needsReconnectOnly` and `nextPageToken`."""
    keys = [(await edge.ask("POST", "/profiles/create")).json()["profileKey"] for _ in range(3)]
    first = (await edge.ask("GET", "/profiles", params={"pageSize": 2})).json()
    token = first["nextPageToken"]
    rest = await edge.ask("GET", "/profiles", params={"pageSize": "2", "pageToken": token})
    shown = [*first["profiles"], *rest.json()["profiles"]]
    assert [one["profileKey"] for one in shown] == keys
    none = await edge.ask("GET", "/profiles?needsReconnectOnly=true&unknown=x")
    assert none.json() == {"profiles": [], "nextPageToken": ""}
    assert (
        len((await edge.ask("GET", "/profiles?needsReconnectOnly=false")).json()["profiles"]) == 3
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("pageSize=ten", "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=", "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=1_0", "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=%D9%A3", "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=1.0", "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=2147483648", "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=" + "9" * 5000, "pageSize must be a whole number of at most 32 bits"),
        ("pageSize=-1", "pageSize must not be negative"),
        ("pageSize=1&pageSize=2", "pageSize is named twice"),
        ("needsReconnectOnly=1", "needsReconnectOnly must be true or false"),
        ("needsReconnectOnly=TRUE", "needsReconnectOnly must be true or false"),
        ("pageToken=x", "pageToken is not a token for this list"),
        ("pageToken=%00", "pageToken is not a token for this list"),
        ("pageToken=%FF", "The request is not valid UTF-8"),
    ],
)
async def test_invalid_queries_are_rejected(edge: Edge, query: str, said: str) -> None:
    """INVALID_REQUEST has the parameter's name."""
    answer = await edge.ask("GET", f"/profiles?{query}")
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "INVALID_REQUEST", "message": said},
    )


async def test_platforms(edge: Edge) -> None:
    """Each has its authentication method and its form."""
    platforms = (await edge.ask("GET", "/platforms")).json()["platforms"]
    bluesky = platforms[0]
    assert (bluesky["id"], bluesky["authMethod"]) == ("bluesky", "AUTH_METHOD_CREDENTIALS")
    assert [field["name"] for field in bluesky["fields"]] == ["handle", "appPassword"]
    assert bluesky["fields"][0]["secret"] is False


@pytest.mark.parametrize(("verb", "path"), KEYED)
async def test_every_route_needs_a_key(edge: Edge, verb: str, path: str) -> None:
    """It must be in the header, once; neither a query parameter nor a bearer token is accepted."""
    del edge.client.headers["x-api-key"]
    key = edge.service.api_key
    missing = await edge.ask(verb, path)
    assert (missing.status_code, missing.json()) == (
        401,
        {"error": "MISSING_API_KEY", "message": "API key is required in x-api-key header"},
    )
    for more in (
        {"params": {"apiKey": key, "api_key": key, "x-api-key": key}},
        {"headers": {"authorization": f"Bearer {key}"}},
        {"headers": {"x-api-key": ""}},
    ):
        assert (await edge.ask(verb, path, **more)).json()["error"] == "MISSING_API_KEY"
    for wrong in (
        b"x",
        b"pc\x1b[31m",
        b"pc\x7f",
        f"{key} x".encode(),
        b"\xff\xfe",
        key[:-1].encode(),
    ):
        answer = await edge.ask(verb, path, headers=[(b"x-api-key", wrong)])
        assert (answer.status_code, answer.json()) == (
            401,
            {"error": "INVALID_API_KEY", "message": "Invalid API key"},
        )
    twice = await edge.ask(verb, path, headers=[("x-api-key", key), ("x-api-key", key)])
    assert twice.json()["error"] == "INVALID_API_KEY"


async def test_scopes(edge: Edge, sandboxed: Running) -> None:
    """A key that may only read gets INSUFFICIENT_SCOPE, as over gRPC."""
    from service.domain.model import Scope

    edge.client.headers["x-api-key"], _ = await sandboxed.new_key(Scope.PROFILES_READ)
    assert (await edge.ask("GET", "/profiles")).status_code == 200
    refused = await edge.ask("POST", "/profiles/create")
    assert (refused.status_code, refused.json()) == (
        403,
        {
            "error": "INSUFFICIENT_SCOPE",
            "message": "This API key lacks the scope profiles:write",
        },
    )


async def test_a_key_in_a_query_is_neither_logged_nor_echoed(
    edge: Edge, sandboxed: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """The OAuth entrance is elsewhere, and its error does not depend on the key."""
    key = sandboxed.api_key
    answer = await edge.ask(
        "GET", f"/profiles/connect?apiKey={key}&platform=linkedin&returnUrl=https://a.example"
    )
    assert (answer.status_code, answer.json()) == (
        501,
        {
            "error": "OAUTH_NOT_AVAILABLE",
            "message": "OAuth platforms are connected elsewhere, not at this service",
        },
    )
    other = await edge.ask("GET", f"/profiles?apiKey={key}")
    output = capsys.readouterr()
    assert other.status_code == 200
    for text in (answer.text, str(answer.headers), other.text, output.out, output.err):
        assert key not in text


async def test_a_path_is_split_before_it_is_decoded(edge: Edge) -> None:
    """An encoded slash does not separate segments, and any segment can be a profile key."""
    for part in (
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        "%00",
        "%FF",
        "a%20b",
        "prof_%C3%A9",
        "x" * 5000,
    ):
        answer = await edge.ask("GET", f"/profiles/{part}")
        assert (answer.status_code, answer.json()["error"]) == (404, "PROFILE_NOT_FOUND"), part
    mine = (await edge.ask("POST", "/profiles/create")).json()["profileKey"]
    assert (await edge.ask("GET", f"/profiles/{mine.replace('_', '%5F')}")).status_code == 200
    answer = await edge.ask("DELETE", f"/profiles/{mine}/platforms/..%2Fbluesky")
    assert answer.json()["error"] == "PLATFORM_NOT_CONNECTED"
    long = await edge.ask("DELETE", f"/profiles/{mine}/platforms/{'x' * 65}")
    assert long.json()["message"] == "platform is longer than 64 characters"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/profile",
        "/profiles/",
        "/profiles//",
        "/PROFILES",
        "/profiles/a/b",
        "/docs/../x",
        "/docs/x",
        "/health/",
        "/profiles%2Fcreate",
    ],
)
async def test_other_paths_are_not_found(edge: Edge, path: str) -> None:
    """404 has the usual form of an error, with and without a key."""
    answer = await edge.ask("GET", f"http://{edge.service.http}{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "PATH_NOT_FOUND")


ALLOWED = {
    "/profiles/connect": "GET, HEAD, OPTIONS, POST",
    "/profiles/create": "OPTIONS, POST",
    "/profiles": "GET, HEAD, OPTIONS",
    "/profiles/prof_x": "DELETE, GET, HEAD, OPTIONS",
    "/profiles/prof_x/platforms/bluesky": "DELETE, OPTIONS",
    "/profiles/prof_x/platforms/bluesky/verify": "OPTIONS, POST",
    "/platforms": "GET, HEAD, OPTIONS",
    "/health": "GET, HEAD, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
    "/docs": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize("path", ALLOWED)
async def test_verbs(edge: Edge, path: str) -> None:
    """Other verbs get 405 with the allowed ones. OPTIONS lists them, and HEAD is GET without a
    body."""
    for verb in ("PUT", "PATCH", "TRACE", "BREW"):
        answer = await edge.ask(verb, path)
        assert (answer.status_code, answer.json()["error"]) == (405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == ALLOWED[path]
    options = await edge.ask("OPTIONS", path)
    assert (options.status_code, options.content) == (204, b"")
    assert options.headers["allow"] == ALLOWED[path]
    assert "access-control-allow-origin" not in options.headers
    if "GET" in ALLOWED[path]:
        head, get = await edge.ask("HEAD", path), await edge.ask("GET", path)
        assert head.status_code == get.status_code
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_request_ids(edge: Edge, calls: list[dict[str, Any]]) -> None:
    """An id that is safe to log is returned and logged; any other is replaced."""
    for given, kept in (("abc-123", True), ("evil id {}", False), ("x" * 200, False)):
        answer = await edge.ask("GET", "/platforms", headers={"x-request-id": given})
        returned = answer.headers["x-request-id"]
        assert (returned == given) is kept
        assert calls[-1]["request_id"] == returned
        assert (calls[-1]["method"], calls[-1]["transport"]) == ("ListPlatforms", "http")


async def test_a_call_logs_one_line_without_its_content(
    edge: Edge, sandbox: SandboxBluesky, calls: list[dict[str, Any]]
) -> None:
    """The line is the same as over gRPC."""
    person = await sandbox.person()
    await edge.connect(person.handle, person.app_password)
    await edge.connect(person.handle, "wrong")
    await edge.ask("GET", "/nowhere")
    assert [line["outcome"] for line in calls] == ["ok", "INVALID_CREDENTIALS"]
    for absent in (person.handle, person.did, person.app_password, edge.service.api_key):
        assert absent not in json.dumps(calls)


async def test_rate_limits_are_sent(sandbox: SandboxBluesky, database: Path) -> None:
    """Every response to a known key has them; at the limit it has the wait in seconds, too."""
    settings = {**sandbox.settings(), "CALLS_PER_SECOND": "2"}
    async with running(database, settings) as service, Edge.of(service) as edge:
        before = time.time()
        answers = [await edge.ask("GET", "/profiles/prof_x") for _ in range(3)]
        statuses = [answer.status_code for answer in answers]
        assert statuses in ([404, 404, 429], [404, 404, 404])
        while answers[-1].status_code != 429:
            answers.append(await edge.ask("GET", "/profiles/prof_x"))
        assert answers[0].headers["x-ratelimit-limit"] == "2"
        assert answers[0].headers["x-ratelimit-remaining"] == "1"
        for answer in answers:
            assert before <= int(answer.headers["x-ratelimit-reset"]) <= time.time() + 2
        last = answers[-1]
        assert last.json() == {
            "error": "RATE_LIMIT_EXCEEDED",
            "message": "Too many requests",
            "retry_after": 1,
        }
        assert (last.headers["retry-after"], last.headers["x-ratelimit-remaining"]) == ("1", "0")
        unknown = await edge.ask("GET", "/profiles", headers={"x-api-key": "x"})
        assert "x-ratelimit-limit" not in unknown.headers


async def test_the_platforms_waits_are_a_header(edge: Edge, sandbox: SandboxBluesky) -> None:
    """429 and 503 have `Retry-After`; the body has it only for limits of this service."""
    person = await sandbox.person()
    sandbox.rate_limit(person)
    limited = await edge.connect(person.handle, person.app_password)
    assert (limited.status_code, set(limited.json())) == (429, {"error", "message"})
    assert int(limited.headers["retry-after"]) > 100
    other = await sandbox.person()
    for _ in range(5):
        await edge.connect(other.handle, "wxyz-wxyz-wxyz-wxyz")
    spent = await edge.connect(other.handle, other.app_password)
    assert spent.json()["error"] == "RATE_LIMIT_EXCEEDED"
    assert 1 <= spent.json()["retry_after"] <= 300


async def test_a_repeated_call_has_the_same_reply(edge: Edge, sandbox: SandboxBluesky) -> None:
    """`Idempotency-Key` is the contract's field: one profile, one login, one reply."""
    person = await sandbox.person()
    edge.client.headers["idempotency-key"] = "k-1"
    first = await edge.connect(person.handle, person.app_password)
    logins = sandbox.logins
    again = await edge.connect(person.handle, person.app_password)
    assert (again.json(), sandbox.logins) == (first.json(), logins)
    other = await edge.connect(person.handle, "wxyz-wxyz-wxyz-wxyz")
    assert (other.status_code, other.json()["error"]) == (400, "IDEMPOTENCY_KEY_REUSED")
    same = await edge.connect(person.handle, person.app_password, idempotencyKey="k-1")
    assert same.json() == first.json()
    for headers, said in (
        ({"idempotency-key": ""}, "idempotencyKey must not be empty; leave it out for none"),
        ([("idempotency-key", "k"), ("Idempotency-Key", "k")], "idempotencyKey is named twice"),
        ({"idempotency-key": "k" * 256}, "must be 1 to 255 printable ASCII characters"),
        ({"idempotency-key": b"\xff"}, "must be 1 to 255 printable ASCII characters"),
    ):
        refused = await edge.ask("POST", "/profiles/create", headers=headers)
        assert refused.json()["error"] == "INVALID_REQUEST"
        assert said in refused.json()["message"]
    two = await edge.connect(person.handle, person.app_password, idempotencyKey="k-2")
    assert two.json()["message"] == "idempotencyKey is another one in the header"


async def test_other_origins_may_not_call_by_default(
    edge: Edge, sandbox: SandboxBluesky, database: Path
) -> None:
    """No response has a CORS header."""
    ask = {"origin": "https://app.example", "access-control-request-method": "POST"}
    plain = await edge.ask("OPTIONS", "/profiles/connect", headers=ask)
    assert not [name for name in plain.headers if name.startswith("access-control")]


async def test_configured_origins_may_call(sandbox: SandboxBluesky, database: Path) -> None:
    """Their preflight lists verbs and headers; other origins get none."""
    settings = {**sandbox.settings(), "HTTP_CORS_ORIGINS": "https://app.example"}
    async with (
        running(database, settings) as service,
        httpx.AsyncClient(base_url=f"http://{service.http}", trust_env=False) as client,
    ):
        ask = {
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type, x-api-key",
        }
        yes = await client.options("/profiles/connect", headers=ask)
        assert yes.status_code == 200
        assert yes.headers["access-control-allow-origin"] == "https://app.example"
        no = await client.options(
            "/profiles/connect", headers={**ask, "origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in no.headers
        called = await client.get(
            "/platforms",
            headers={"origin": "https://app.example", "x-api-key": service.api_key},
        )
        assert called.headers["access-control-allow-origin"] == "https://app.example"
        assert "x-request-id" in called.headers["access-control-expose-headers"].lower()
        assert "access-control-allow-credentials" not in called.headers


async def test_an_internal_error_has_no_details(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in the edge itself is INTERNAL, and its text is not sent."""

    def broken(*_: object) -> object:
        raise ValueError("a secret in an exception")

    monkeypatch.setattr("service.transport.http.edge._reply_body", broken)
    answer = await edge.ask("GET", "/platforms")
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "INTERNAL", "message": "internal error"},
    )


async def test_health(edge: Edge) -> None:
    """It needs no key."""
    del edge.client.headers["x-api-key"]
    answer = await edge.ask("GET", "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "SERVING"})
