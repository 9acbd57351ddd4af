"""Odd answers to a login and to a session: none is proof, and none leaves anything behind."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from service.sandbox.sites.wordpress import APP_PASSWORD, WordPressSite
from tests.support.running import MovedClock, Running, running

from .conftest import settings
from .connected import HEALTHY, HOUR, UNVERIFIED, Connected, connect, refused, until
from .sites import APP_PASSWORDS, INTROSPECT, ME, Person, StandIn

USER = {"id": 2, "username": "alice", "name": "A", "capabilities": {"publish_posts": True}}


class ChangedSite(WordPressSite):
    """A site whose answer to one route is another."""

    def restore(self) -> None:
        super().restore()
        self.changed: dict[str, Response] = {}

    async def _answer(self, request: Request) -> Response:
        route = f"{request.method} {request.url.path.removeprefix('/wp-json')}"
        return self.changed.get(route) or await super()._answer(request)


def in_json(body: object, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, {"content-type": "application/json", **headers})


@pytest.fixture
async def changed(database: Path) -> AsyncIterator[ChangedSite]:
    site = ChangedSite()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def service(
    changed: ChangedSite, database: Path, clock: MovedClock
) -> AsyncIterator[Running]:
    async with running(database, settings(changed.origin), clock) as started:
        yield started


USERS: list[object] = [
    {**USER, "id": "2"},
    {**USER, "id": 0},
    {**USER, "id": -2},
    {**USER, "id": True},
    {**USER, "id": 2**70},
    {**USER, "username": "bob"},
    {**USER, "username": ""},
    {**USER, "username": "al:ice"},
    {**USER, "username": None},
    {**USER, "capabilities": []},
    {},
    [],
]
UUIDS: list[object] = [{}, [], {"uuid": 7}, {"uuid": "a/b"}, {"uuid": ""}]
LOGINS: list[tuple[str, Response]] = [
    *((f"GET {INTROSPECT}", in_json(body)) for body in UUIDS),
    (f"GET {INTROSPECT}", Response("<html>", 200, {"content-type": "text/html"})),
    (f"GET {INTROSPECT}", in_json({"code": "too_many_retries"}, 401)),
    (f"GET {INTROSPECT}", in_json({"code": ["rest_not_logged_in"]}, 401)),
    (f"GET {INTROSPECT}", in_json({"code": "rest_not_logged_in"}, 403)),
    (f"GET {INTROSPECT}", Response("no", 401, {"www-authenticate": 'Basic realm="staging"'})),
    (f"GET {INTROSPECT}", Response(status_code=307, headers={"location": "http://127.0.0.1:9/"})),
    (f"GET {INTROSPECT}", in_json({"uuid": "x" * 140_000})),
    *((f"GET {ME}", in_json(body)) for body in USERS),
    (f"GET {ME}", in_json({"code": "rest_no_route"}, 404)),
    (f"GET {ME}", in_json({"code": "rest_not_logged_in"}, 401)),
    *((f"POST {APP_PASSWORDS}", in_json(body, 201)) for body in UUIDS),
    (f"POST {APP_PASSWORDS}", in_json({"uuid": "a", "password": "ä" * 24}, 201)),
    (f"POST {APP_PASSWORDS}", in_json({"uuid": "a/../b", "password": "x" * 24}, 201)),
    (f"POST {APP_PASSWORDS}", in_json({"code": "rest_cannot_create_x"}, 403)),
    (f"POST {APP_PASSWORDS}", in_json({"uuid": "a", "password": "x" * 24}, 200)),
]


@pytest.mark.parametrize(("route", "answer"), LOGINS, ids=range(len(LOGINS)))
@pytest.mark.slow
async def test_logging_in(
    service: Running, changed: ChangedSite, route: str, answer: Response
) -> None:
    """The answer proves nothing: PLATFORM_UNAVAILABLE, and nothing is stored or left."""
    changed.changed[route] = answer
    refusal = await refused(service, changed.home, "alice", APP_PASSWORD)
    assert refusal.reason == "PLATFORM_UNAVAILABLE", refusal
    assert refusal.metadata["step"] == "SERVER"
    assert service.rows("SELECT * FROM connections") == []
    assert len(changed.users["alice"].app_passwords) == 1


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("incorrect_password", 401, "REJECTED_BY_PLATFORM"),
        ("invalid_username", 401, "REJECTED_BY_PLATFORM"),
        ("invalid_email", 401, "REJECTED_BY_PLATFORM"),
        ("rest_not_logged_in", 401, "REJECTED_BY_PLATFORM"),
        ("application_passwords_disabled_for_user", 401, "SWITCHED_OFF"),
        ("application_passwords_disabled_for_user", 501, "SWITCHED_OFF"),
        ("application_passwords_disabled", 501, "SWITCHED_OFF"),
        ("rest_no_authenticated_app_password", 404, "MAIN_PASSWORD"),
    ],
)
async def test_refusals_in_words(
    service: Running, changed: ChangedSite, code: str, status: int, cause: str
) -> None:
    """Each code has its cause."""
    changed.changed[f"GET {INTROSPECT}"] = in_json({"code": code}, status)
    refusal = await refused(service, changed.home, "alice", APP_PASSWORD)
    assert (refusal.reason, refusal.metadata["cause"]) == ("INVALID_CREDENTIALS", cause)


async def test_a_limit_is_kept(service: Running, changed: ChangedSite) -> None:
    """After a 429 no login is made until the site says so."""
    changed.changed[f"GET {INTROSPECT}"] = in_json({}, 429, **{"retry-after": "900"})
    refusal = await refused(service, changed.home, "alice", APP_PASSWORD)
    assert (refusal.reason, refusal.retry_after) == ("PLATFORM_UNAVAILABLE", 900)
    changed.changed.clear()
    refusal = await refused(service, changed.home, "alice", APP_PASSWORD)
    assert refusal.reason == "PLATFORM_RATE_LIMITED"
    assert refusal.retry_after is not None
    assert 800 < refusal.retry_after <= 900


@pytest.mark.parametrize(
    "answer",
    [
        in_json({"code": "rest_application_password_not_found"}, 401),
        in_json({"code": "rest_application_password_not_found"}, 403),
        in_json({"code": "rest_no_route"}, 404),
        in_json([], 404),
        Response("Not Found", 404, {"content-type": "text/html"}),
        in_json({"code": "rest_application_password_not_found"}, 500),
    ],
)
async def test_what_is_no_proof_of_a_revocation(
    service: Running, changed: ChangedSite, clock: MovedClock, answer: Response
) -> None:
    """Only 404 with the code is."""
    connected = Connected(service, StandIn(changed), clock, Person("alice", 2, APP_PASSWORD))
    await connected.connect()
    [pasted] = [
        each.uuid for each in changed.users["alice"].app_passwords.values() if not each.app_id
    ]
    changed.changed[f"GET {APP_PASSWORDS}/{pasted}"] = answer
    assert await connected.verdict() == UNVERIFIED
    changed.changed.clear()
    assert await connected.verdict(25 * HOUR) == HEALTHY


@pytest.mark.parametrize("body", USERS)
async def test_odd_users_of_a_session(
    service: Running, changed: ChangedSite, clock: MovedClock, body: object
) -> None:
    """Prove nothing: not even that it may not publish."""
    connected = Connected(service, StandIn(changed), clock, Person("alice", 2, APP_PASSWORD))
    await connected.connect()
    changed.changed[f"GET {ME}"] = in_json(body)
    verdict = await connected.verdict()
    is_named_otherwise = isinstance(body, dict) and body.get("username") == "bob"
    assert verdict == (HEALTHY if is_named_otherwise else UNVERIFIED)


@pytest.mark.parametrize(
    "body", [{}, [7], [{}], [{"uuid": 1, "app_id": 2, "created": 3}], "x", None, [[]]]
)
async def test_odd_lists(
    service: Running, changed: ChangedSite, clock: MovedClock, body: object
) -> None:
    """Of application passwords: nothing is deleted, and the session is renewed."""
    connected = Connected(service, StandIn(changed), clock, Person("alice", 2, APP_PASSWORD))
    await connected.connect()
    for _ in range(3):
        changed.changed[f"GET {APP_PASSWORDS}"] = in_json(body)
        assert await connected.verdict() == HEALTHY
    assert len(changed.users["alice"].app_passwords) == 5
    changed.changed.clear()
    # the former one goes with the next renewal, the others in a day
    assert await connected.verdict() == HEALTHY
    assert len(changed.users["alice"].app_passwords) == 5


async def test_display_names(service: Running, changed: ChangedSite) -> None:
    """What is shown of a name is printable and short."""
    changed.users["alice"].name = "A\u202e\x00lice" + "x" * 1000
    await connect(service, changed.home, "alice", APP_PASSWORD)

    async def is_shown() -> bool:
        [row] = service.rows("SELECT display_name FROM connections")
        return bool(row["display_name"] == "Alice" + "x" * 59)

    await until(is_shown)
