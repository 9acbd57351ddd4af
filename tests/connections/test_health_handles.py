"""Changed handles: if a session's answer has a new handle, the document is read at once."""

from dataclasses import replace
from time import monotonic

import pytest

from service.connections import checks
from service.connections.timeouts import TIMEOUTS, Timeouts
from service.domain.model import SECOND
from service.sandbox.faults import AnotherEndpoint, AnotherHandle, AnyStatus, Fault, Hang
from tests.conformance.sandbox import Sandbox
from tests.connections import health_support as shared
from tests.connections.health_support import HEALTHY, HOUR, UNVERIFIED, Watched, breakages, broken

EXPIRING = HOUR * 115 // 60
"""Advances the clock so that a token of two hours expires in five minutes."""
INVALID = "handle.invalid"
where, engine, bluesky = shared.where, shared.engine, shared.bluesky
service, watched, sandboxed = shared.service, shared.watched, shared.sandboxed


@pytest.fixture
def timeouts() -> Timeouts:
    """Checks have a short timeout: reading the document hangs in some tests."""
    return replace(TIMEOUTS, check=4.0)


async def documents(watched: Watched) -> int:
    """Return how often the account's document was read."""
    return (await watched.bluesky.counts()).get(f"/{watched.person.did}", 0)


async def renamed(watched: Watched) -> str:
    handle = f"new-{watched.person.handle}"
    await watched.bluesky.rename(watched.person, handle)
    return handle


async def test_a_check_adopts_a_changed_handle_at_once(watched: Watched) -> None:
    """It does so although the document was read less than a day ago, and costs no login."""
    assert await watched.verdict(0) == HEALTHY
    handle = await renamed(watched)
    assert await watched.verdict(3 * SECOND) == HEALTHY
    assert (watched.row["username"], watched.row["display_name"]) == (handle, handle)
    assert (await watched.spent(), watched.events()) == (0, ["HANDLE_CHANGED"])
    assert await watched.verdict() == HEALTHY
    assert watched.events() == ["HANDLE_CHANGED"]


async def test_a_renewed_lease_adopts_a_changed_handle_at_once(watched: Watched) -> None:
    """The lease returns the new handle."""
    handle = await renamed(watched)
    watched.clock.ahead = EXPIRING
    lease = await watched.service.lease(watched.key)
    assert lease.access_token == watched.service.session().access_token
    assert (lease.username, watched.row["username"]) == (handle, handle)
    assert (await watched.spent(), watched.events()) == (0, ["HANDLE_CHANGED"])


async def test_a_login_adopts_a_changed_handle_at_once(watched: Watched) -> None:
    """Example: the login for a lease after the session has ended."""
    handle = await renamed(watched)
    await watched.bluesky.change_password(watched.person, "another main password")
    watched.clock.ahead = EXPIRING
    assert (await watched.service.lease(watched.key)).username == handle
    assert (await watched.spent(), watched.events()) == (1, ["HANDLE_CHANGED"])


@pytest.mark.parametrize("handle", [INVALID, "another.test"])
async def test_an_unproved_handle_is_resolved_each_time(sandboxed: Watched, handle: str) -> None:
    """The session stays valid; each check reads the document once, and does nothing more."""
    breakages(sandboxed).add(AnotherHandle(handle), method="refreshSession")
    before = await documents(sandboxed)
    for turn in range(3):
        assert await sandboxed.verdict(HOUR // 60) == HEALTHY
        assert await documents(sandboxed) == before + turn + 1
    sandboxed.clock.ahead = EXPIRING
    assert (await sandboxed.service.lease(sandboxed.key)).username == sandboxed.person.handle
    assert await documents(sandboxed) == before + 4
    assert await sandboxed.verdict(25 * HOUR) == HEALTHY
    assert await documents(sandboxed) == before + 5
    assert (await sandboxed.spent(), sandboxed.events()) == (0, [])


async def test_the_same_handle_in_other_case_is_no_change(sandboxed: Watched) -> None:
    breakages(sandboxed).add(
        AnotherHandle(sandboxed.person.handle.upper()), method="refreshSession"
    )
    before = await documents(sandboxed)
    assert await sandboxed.verdict(0) == HEALTHY
    assert await documents(sandboxed) == before


async def test_a_handle_that_does_not_resolve_back_is_not_adopted(
    sandboxed: Watched,
) -> None:
    """The session's answer and the document agree on it, but the handle resolves to another
    account."""
    stranger = await sandboxed.bluesky.person()
    for method in ("refreshSession", "plc"):
        breakages(sandboxed).add(AnotherHandle(stranger.handle), method=method)
    assert await sandboxed.verdict(0) == HEALTHY
    assert (sandboxed.row["username"], sandboxed.events()) == (sandboxed.person.handle, [])


FAULTS = {"500": AnyStatus(500), "429": AnyStatus(429), "hang": Hang()}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_failed_document_read_costs_no_verdict_and_no_lease(
    sandboxed: Watched, fault: Fault
) -> None:
    """Check and lease succeed if a document of the last day names the server. The next answer leads
    to another read."""
    handle = await renamed(sandboxed)
    breakages(sandboxed).add(fault, method="plc")
    assert await sandboxed.verdict(HOUR // 60) == HEALTHY
    sandboxed.clock.ahead = EXPIRING
    stored, begun = sandboxed.service.session(), monotonic()
    lease = await sandboxed.service.lease(sandboxed.key)
    assert monotonic() - begun < 4
    assert lease.access_token == sandboxed.service.session().access_token
    assert sandboxed.service.session() != stored
    assert (lease.username, sandboxed.events()) == (sandboxed.person.handle, [])
    breakages(sandboxed).clear()
    assert await sandboxed.verdict(HOUR // 60) == HEALTHY
    assert (sandboxed.row["username"], sandboxed.events()) == (handle, ["HANDLE_CHANGED"])
    assert await sandboxed.spent() == 0


@pytest.mark.slow
async def test_a_lease_does_not_wait_for_the_document(
    sandboxed: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is stored first: a caller with a short deadline gets it while the read hangs."""
    monkeypatch.setattr(checks, "RENEWAL_DOCUMENT_SECONDS", 60.0)
    await renamed(sandboxed)
    hang = breakages(sandboxed).add(Hang(), method="plc")
    sandboxed.clock.ahead = EXPIRING
    stored = sandboxed.service.session()
    lease = await sandboxed.service.lease(sandboxed.key, timeout=4)
    assert (hang.held_up, sandboxed.service.session() != stored) == (1, True)
    assert lease.access_token == sandboxed.service.session().access_token
    hang.mend()


async def test_a_failed_document_read_does_not_renew_its_age(sandboxed: Watched) -> None:
    """Without a document of the last day, a session proves nothing, for checks and for leases."""
    assert await sandboxed.verdict(0) == HEALTHY
    breakages(sandboxed).add(AnotherHandle(), method="refreshSession")
    breakages(sandboxed).add(AnyStatus(500), method="plc")
    assert await sandboxed.verdict(23 * HOUR) == HEALTHY
    assert await sandboxed.verdict(2 * HOUR) == UNVERIFIED
    assert isinstance(sandboxed.bluesky, Sandbox)
    sandboxed.bluesky.pass_time(sandboxed.clock.ahead / SECOND)
    assert (await sandboxed.service.lease(sandboxed.key)).username == sandboxed.person.handle
    assert sandboxed.events() == ["UNVERIFIED"]


async def test_a_document_read_that_finds_another_server(sandboxed: Watched) -> None:
    """It counts as the first of two sightings, for checks and for leases; a valid token is still
    lent."""
    breakages(sandboxed).add(AnotherHandle(), method="refreshSession")
    breakages(sandboxed).add(AnotherEndpoint(), method="plc")
    sandboxed.clock.ahead = EXPIRING
    lease = await sandboxed.service.lease(sandboxed.key)
    assert lease.access_token == sandboxed.service.session().access_token
    assert sandboxed.events() == ["UNVERIFIED"]
    assert await sandboxed.verdict(9 * HOUR // 60) == UNVERIFIED
    assert await sandboxed.verdict(2 * HOUR // 60) == broken("SERVER_MOVED")
    assert await sandboxed.spent() == 0


async def test_a_document_read_that_finds_a_tombstone(sandboxed: Watched) -> None:
    """It proves that the account is gone, for leases too."""
    breakages(sandboxed).add(AnotherHandle(), method="refreshSession")
    await sandboxed.bluesky.tombstone(sandboxed.person)
    sandboxed.clock.ahead = EXPIRING
    refusal = await sandboxed.service.lease_refused(sandboxed.key)
    assert refusal.metadata["reconnectReason"] == "ACCOUNT_DELETED"
    assert (await sandboxed.spent(), sandboxed.events()) == (0, ["BROKEN"])
