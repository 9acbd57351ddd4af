"""Health while the real server is stopped, killed, overloaded or replaced by a captive page."""

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.connections.timeouts import TIMEOUTS
from service.domain.model import SECOND
from tests.conformance.real import Real
from tests.conftest import tool
from tests.connections.health_support import HEALTHY, UNVERIFIED, broken, status_of
from tests.pds.server import RealServer
from tests.platforms.raw import RawServer, respond
from tests.support.bluesky import CREATE, Person
from tests.support.running import MovedClock, Running, running

pytestmark = pytest.mark.real

HOUR = 3600 * SECOND
LOGIN_REFUSED = {"error": "AuthenticationRequired", "message": "Invalid identifier or password"}


@pytest.fixture
async def bluesky(request: pytest.FixtureRequest) -> AsyncIterator[Real]:
    """A real server of the test's own; with the *param* True it enforces its rate limits."""
    strict = getattr(request, "param", False)
    async with await RealServer.start(
        tool("tests/pds/install"), login_floor=False, rate_limits=strict
    ) as server:
        yield Real(server)


@pytest.fixture
async def service(bluesky: Real, database: Path, clock: MovedClock) -> AsyncIterator[Running]:
    settings = {**bluesky.settings(), "CHECK_HOURS": "24"}
    hurried = replace(TIMEOUTS, check=4.0)
    async with running(database, settings, clock, hurried) as started:
        yield started


@pytest.fixture
async def person(bluesky: Real) -> Person:
    return await bluesky.person()


@pytest.fixture
async def key(service: Running, person: Person) -> str:
    return (await service.connect(person.handle, person.app_password)).profile_key


async def test_a_stopped_server_proves_nothing(
    service: Running, bluesky: Real, person: Person, key: str, clock: MovedClock
) -> None:
    """It accepts connections but does not answer. When it continues, a password revoked meanwhile
    is found."""
    await bluesky.revoke(person)
    bluesky.server.signal(signal.SIGSTOP)
    for _ in range(2):
        assert status_of(await service.verify(key)) == UNVERIFIED
        clock.ahead += HOUR
    bluesky.server.signal(signal.SIGCONT)
    assert status_of(await service.verify(key)) == broken("APP_PASSWORD_REVOKED")
    bluesky.server.signal(signal.SIGSTOP)
    clock.ahead += 2 * HOUR
    # the earlier proof is still valid
    assert status_of(await service.verify(key)) == ("UNVERIFIED", True, "APP_PASSWORD_REVOKED")
    bluesky.server.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    "page",
    [
        respond("<title>Log in to the hotel</title>"),
        respond("<title>Log in to the hotel</title>", 401),
        respond("<title>Log in to the hotel</title>", 302, location="https://portal.example/"),
        respond(LOGIN_REFUSED, 401),
        respond({"error": "ExpiredToken", "message": "Token has been revoked"}, 400),
        respond({"error": "RepoNotFound", "message": "Could not find repo"}, 400),
    ],
    ids=["page", "page-401", "redirect", "login-refused", "token-expired", "no-repo"],
)
async def test_a_captive_page_proves_nothing(
    service: Running, bluesky: Real, person: Person, key: str, clock: MovedClock, page: bytes
) -> None:
    """The page answers every request at the server's port, even with the server's own error texts,
    while the directory still names that server."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as anybody:
        document = (await anybody.get(f"{bluesky.plc}/{person.did}")).json()
    bluesky.server.signal(signal.SIGKILL)
    assert status_of(await service.verify(key)) == UNVERIFIED
    ports = [urlsplit(origin).port or 0 for origin in (bluesky.origin, bluesky.plc)]
    async with (
        RawServer.started(port=ports[0]) as captive,
        RawServer.started(port=ports[1]) as directory,
    ):
        directory.on(f"/{person.did}", respond(document))
        for path in ("createSession", "refreshSession", "deleteSession"):
            captive.on(f"/xrpc/com.atproto.server.{path}", page)
        captive.on("/xrpc/com.atproto.sync.getRepoStatus", page)
        for _ in range(2):
            clock.ahead += 2 * HOUR
            assert status_of(await service.verify(key)) == UNVERIFIED
        assert captive.requests
    assert not service.rows("SELECT 1 FROM events WHERE kind = 'BROKEN'")


@pytest.mark.parametrize("bluesky", [True], indirect=True)
async def test_an_overloaded_server_proves_nothing(
    service: Running, bluesky: Real, person: Person, key: str, clock: MovedClock
) -> None:
    """After a 429 the next login waits for the server's reset time; it costs one request."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as stranger:
        for _ in range(31):
            answer = await stranger.post(
                f"{bluesky.origin}{CREATE}",
                json={"identifier": person.did, "password": "abcd-efgh-ijkl-mnop"},
            )
    assert answer.status_code == 429
    await bluesky.change_password(person, "another main password")
    before = (await bluesky.counts())[CREATE]
    connection = await service.verify(key)
    assert status_of(connection) == UNVERIFIED
    wait = connection.next_check_at.ToMicroseconds() - clock.now()
    reset = int(answer.headers["ratelimit-reset"]) * SECOND - clock.now()
    assert reset - 5 * SECOND < wait
    clock.ahead += 61 * SECOND
    assert status_of(await service.verify(key)) == UNVERIFIED
    assert (await bluesky.counts())[CREATE] == before + 1


async def test_a_migration_between_two_servers(
    service: Running, bluesky: Real, person: Person, key: str, clock: MovedClock
) -> None:
    """The document names another real server, which receives no request."""
    async with await RealServer.start(tool("tests/pds/install"), login_floor=False) as elsewhere:
        before = await elsewhere.counts()
        await bluesky.server.move(person.did, elsewhere.pds)
        await bluesky.deactivate(person)
        for wait, verdict in (
            (25 * HOUR, UNVERIFIED),
            (5 * 60 * SECOND, UNVERIFIED),
            (6 * 60 * SECOND, broken("SERVER_MOVED")),
        ):
            clock.ahead += wait
            assert status_of(await service.verify(key)) == verdict
        assert await elsewhere.counts() == before
        # it moves back: the document names the first server, and the session is still valid
        await bluesky.server.move(person.did, bluesky.origin)
        await bluesky.activate(person)
        clock.ahead += HOUR
        assert status_of(await service.verify(key)) == HEALTHY
