"""Profiles through the stub: create, get, list, delete, disconnect."""

import asyncio
import base64
import json
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.crypto.keyring import create_keyring, new_keys
from service.storage.connections import SqlConnections
from service.storage.profiles import SqlProfiles
from tests.support.bluesky import Bluesky, SandboxBluesky, is_live
from tests.support.engines import on_both
from tests.support.leasing import Held
from tests.support.running import Refusal, Running, refusal_of

engine = on_both


class Calls:
    """The calls of these tests, each by one line."""

    def __init__(self, service: Running, api_key: str | None = None) -> None:
        self._stub = service.profiles
        self._metadata = service.metadata(api_key)

    async def create(self, name: str | None = None, key: str = "") -> pb.CreateProfileResponse:
        request = pb.CreateProfileRequest(profile_name=name, idempotency_key=key)
        return await self._stub.CreateProfile(request, metadata=self._metadata)

    async def get(self, profile_key: str) -> profile_pb2.Profile:
        request = pb.GetProfileRequest(profile_key=profile_key)
        return (await self._stub.GetProfile(request, metadata=self._metadata)).profile

    async def page(
        self, size: int = 0, token: str = "", *, to_reconnect: bool = False
    ) -> pb.ListProfilesResponse:
        request = pb.ListProfilesRequest(
            page_size=size, page_token=token, needs_reconnect_only=to_reconnect
        )
        return await self._stub.ListProfiles(request, metadata=self._metadata)

    async def delete(self, profile_key: str) -> None:
        request = pb.DeleteProfileRequest(profile_key=profile_key)
        await self._stub.DeleteProfile(request, metadata=self._metadata)

    async def disconnect(self, profile_key: str, platform: str = "bluesky") -> None:
        request = pb.DisconnectPlatformRequest(profile_key=profile_key, platform=platform)
        await self._stub.DisconnectPlatform(request, metadata=self._metadata)

    async def all_keys(self, size: int, *, to_reconnect: bool = False) -> list[str]:
        keys: list[str] = []
        token = ""
        while True:
            page = await self.page(size, token, to_reconnect=to_reconnect)
            keys += [profile.profile_key for profile in page.profiles]
            token = page.next_page_token
            if not token:
                return keys


@pytest.fixture
def calls_of(sandboxed: Running) -> Calls:
    return Calls(sandboxed)


async def refused(call: "object") -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return refusal_of(caught.value)


async def test_a_profile_is_created_and_returned(calls_of: Calls) -> None:
    """With its name, or none, a creation time and no connections."""
    named = await calls_of.create("My profile ☺")
    unnamed = await calls_of.create()
    profile = await calls_of.get(named.profile_key)
    assert (profile.profile_key, profile.profile_name) == (named.profile_key, "My profile ☺")
    assert profile.created_at.seconds > 1_700_000_000
    assert not profile.connected_platforms
    assert not (await calls_of.get(unnamed.profile_key)).HasField("profile_name")
    assert not unnamed.HasField("profile_name")


async def test_a_connection_is_returned_complete(service: Running, bluesky: Bluesky) -> None:
    """Everything that the contract lists, and nothing of the secrets."""
    person = await bluesky.person()
    reply = await service.connect(person.handle, person.app_password)
    profile = await Calls(service).get(reply.profile_key)
    [connection] = profile.connected_platforms
    assert connection.platform == "bluesky"
    assert connection.username == person.handle
    assert connection.display_name == person.handle
    assert connection.account_id == person.did
    assert connection.state == profile_pb2.CONNECTION_STATE_HEALTHY
    assert connection.needs_reconnect is False
    assert connection.connected_at == connection.last_verified_at
    hours = (connection.next_check_at.seconds - connection.connected_at.seconds) / 3600
    assert 5 < hours < 7
    assert connection.connected_at.seconds >= profile.created_at.seconds
    for absent in ("expires_at", "days_until_expiry", "reconnect_reason"):
        assert not connection.HasField(absent)


async def test_the_display_name_is_fetched_without_a_login(
    service: Running, bluesky: Bluesky
) -> None:
    """From its public record, after the reply."""
    person = await bluesky.person()
    await bluesky.show_name(person, "Alice \u202eLiddell")
    reply = await service.connect(person.handle, person.app_password)
    async with asyncio.timeout(5):
        while True:
            profile = await Calls(service).get(reply.profile_key)
            if profile.connected_platforms[0].display_name != person.handle:
                break
            await asyncio.sleep(0.01)
    assert profile.connected_platforms[0].display_name == "Alice Liddell"


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 201, "x" * 10_000, "a\nb", "a\0b", "\x1b[31m", "a\u2028b"],
)
async def test_names_that_are_none(calls_of: Calls, name: str) -> None:
    """INVALID_REQUEST on profile_name, and nothing is created."""
    refusal = await refused(calls_of.create(name))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("profile_name",))
    assert await calls_of.all_keys(10) == []


async def test_a_creation_is_repeated_under_its_key(calls_of: Calls) -> None:
    """The same key and name give the same profile; another name is refused; a deleted profile
    frees the key."""
    first = await calls_of.create("A", "k")
    assert await calls_of.create("A", "k") == first
    assert (await refused(calls_of.create("B", "k"))).reason == "IDEMPOTENCY_KEY_REUSED"
    assert (await refused(calls_of.create(None, "k"))).reason == "IDEMPOTENCY_KEY_REUSED"
    unnamed = await calls_of.create(None, "k2")
    assert await calls_of.create(None, "k2") == unnamed
    await calls_of.delete(first.profile_key)
    assert (await calls_of.create("B", "k")).profile_key != first.profile_key


async def test_keys_of_create_and_connect_are_apart(
    sandboxed: Running, sandbox: SandboxBluesky, calls_of: Calls
) -> None:
    """An idempotency key counts for one method."""
    person = await sandbox.person()
    created = await calls_of.create(None, "k")
    connected = await sandboxed.connect(person.handle, person.app_password, idempotency_key="k")
    assert created.profile_key != connected.profile_key


async def test_pages(calls_of: Calls) -> None:
    """In order of creation, each profile once, for every page size."""
    keys = [(await calls_of.create()).profile_key for _ in range(7)]
    for size in (1, 2, 3, 7, 8, 1000, 1_000_000_000):
        assert await calls_of.all_keys(size) == keys
    page = await calls_of.page(7)
    assert page.next_page_token == ""
    refusal = await refused(calls_of.page(-1))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("page_size",))


async def test_a_page_is_fifty_by_default_and_a_thousand_at_most(
    sandboxed: Running, calls_of: Calls
) -> None:
    """For each page size that was asked for."""
    await sandboxed.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)"
        " INSERT INTO profiles (profile_key, tenant_id, created_at)"
        " SELECT 'prof_' || i, ?, 7 FROM n",
        sandboxed.tenant_id,
    )
    assert len((await calls_of.page()).profiles) == 50
    assert len((await calls_of.page(2_000)).profiles) == 1000
    assert len(set(await calls_of.all_keys(333))) == 1100


async def test_pages_stand_still_while_profiles_come_and_go(calls_of: Calls) -> None:
    """What is created or deleted meanwhile shifts nothing."""
    keys = [(await calls_of.create()).profile_key for _ in range(4)]
    first = await calls_of.page(2)
    await calls_of.delete(keys[1])
    new = (await calls_of.create()).profile_key
    rest = await calls_of.page(10, first.next_page_token)
    assert [profile.profile_key for profile in rest.profiles] == [*keys[2:], new]


async def test_only_those_to_reconnect(
    sandboxed: Running, sandbox: SandboxBluesky, calls_of: Calls
) -> None:
    """The filter shows profiles with a broken connection, each with all its connections, in the
    order of pages; also those that a node of an older program has found broken meanwhile."""
    people = [await sandbox.person() for _ in range(4)]
    keys = [(await sandboxed.connect(one.handle, one.app_password)).profile_key for one in people]
    for number in (0, 3):
        await sandbox.revoke(people[number])
        assert (await sandboxed.verify(keys[number])).needs_reconnect
    await sandboxed.execute(
        "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'APP_PASSWORD_REVOKED'"
        " WHERE profile_key = ?",
        keys[1],
    )
    assert await calls_of.all_keys(1, to_reconnect=True) == [keys[0], keys[1], keys[3]]
    [connection] = (await calls_of.get(keys[1])).connected_platforms
    assert connection.needs_reconnect
    assert connection.reconnect_reason == profile_pb2.RECONNECT_REASON_APP_PASSWORD_REVOKED
    one = people[1]
    await sandboxed.connect(one.handle, one.app_password, profile_key=keys[1])
    assert await calls_of.all_keys(10, to_reconnect=True) == [keys[0], keys[3]]
    assert not (await calls_of.get(keys[1])).connected_platforms[0].needs_reconnect


async def test_page_tokens_are_ours_alone(sandboxed: Running, calls_of: Calls) -> None:
    """Forged, cut, lengthened, re-encoded, of another tenant or another filter: refused."""
    for _ in range(3):
        await calls_of.create()
    token = (await calls_of.page(1)).next_page_token
    stranger, _ = await sandboxed.new_key(tenant_id=await sandboxed.new_tenant())
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    flipped = [
        base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
        for at in range(len(raw))
    ]
    wrong = [
        *(text.rstrip("=") for text in flipped),
        *(token[:length] for length in range(1, len(token), 7)),
        token + "A",
        token + "=",
        token + "\n",
        f" {token}",
        base64.b64encode(raw).decode() + "====",
        raw.hex(),
        "x" * 10_000,
        "é",
        "AA",
    ]
    for text in wrong:
        refusal = await refused(calls_of.page(1, text))
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("page_token",)), text
    assert (await refused(Calls(sandboxed, stranger).page(1, token))).reason == "INVALID_REQUEST"
    assert (await refused(calls_of.page(1, token, to_reconnect=True))).reason == "INVALID_REQUEST"
    assert len((await calls_of.page(2, token)).profiles) == 2


async def test_a_made_up_page_token_is_no_alarm(sandboxed: Running, calls_of: Calls) -> None:
    """One that names a key of its own making: refused, with none of its text in the log."""
    name = b"of its own making"
    raw = bytes([1, len(name)]) + name + bytes(40)
    token = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    with structlog.testing.capture_logs() as lines:
        assert (await refused(calls_of.page(1, token))).fields == ("page_token",)
    assert [(line["event"], line["log_level"]) for line in lines] == [("call", "info")]
    assert name.decode() not in repr(lines)


async def test_the_last_letter_of_a_page_token_counts(sandboxed: Running, calls_of: Calls) -> None:
    """Other letters that decode to the same bytes are another text, and refused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for _ in range(2):
        await calls_of.create()
    token = (await calls_of.page(1)).next_page_token
    for letter in set(alphabet) - {token[-1]}:
        assert (await refused(calls_of.page(1, token[:-1] + letter))).reason == "INVALID_REQUEST"


async def test_a_disconnected_platform_is_gone(service: Running, bluesky: Bluesky) -> None:
    """With its secrets; its session is ended at the server; the profile takes another account."""
    person, other = await bluesky.person(), await bluesky.person()
    reply = await service.connect(person.handle, person.app_password)
    token = service.session().refresh_token
    calls = Calls(service)
    await calls.disconnect(reply.profile_key)
    assert not (await calls.get(reply.profile_key)).connected_platforms
    for table in ("connections", "credentials", "sessions"):
        assert service.rows(f"SELECT * FROM {table}") == []
    async with asyncio.timeout(5):
        while await is_live(bluesky.origin, token):
            await asyncio.sleep(0.02)
    again = await refused(calls.disconnect(reply.profile_key))
    assert (again.code, again.reason, again.metadata) == (
        grpc.StatusCode.NOT_FOUND,
        "PLATFORM_NOT_CONNECTED",
        {"platform": "bluesky"},
    )
    await service.connect(other.handle, other.app_password, profile_key=reply.profile_key)


@pytest.mark.parametrize("method", ["DisconnectPlatform", "DeleteProfile"])
async def test_a_caller_that_left_leaves_no_session_open(
    sandboxed: Running,
    sandbox: SandboxBluesky,
    monkeypatch: pytest.MonkeyPatch,
    calls: list[dict[str, Any]],
    method: str,
) -> None:
    """Once a connection is gone, its session ends at the server, whether anybody waits or not."""
    person = await sandbox.person()
    key = (await sandboxed.connect(person.handle, person.app_password)).profile_key
    token = sandboxed.session(key).refresh_token
    owner, name = {
        "DisconnectPlatform": (SqlConnections, "disconnect"),
        "DeleteProfile": (SqlProfiles, "delete"),
    }[method]
    held = Held(monkeypatch, owner, name)
    more = {"platform": "bluesky"} if method == "DisconnectPlatform" else {}
    call = getattr(sandboxed.profiles, method)(
        getattr(pb, f"{method}Request")(profile_key=key, **more), metadata=sandboxed.metadata()
    )
    await held.reached.wait()
    call.cancel()
    async with asyncio.timeout(10):
        while calls[-1]["outcome"] != "cancelled":
            await asyncio.sleep(0.01)
        held.let_go.set()
        while await is_live(sandbox.origin, token):
            await asyncio.sleep(0.01)


async def test_a_deleted_profile_leaves_nothing(service: Running, bluesky: Bluesky) -> None:
    """Row, connections, secrets, idempotency records gone, events stripped, session ended."""
    person = await bluesky.person()
    reply = await service.connect(person.handle, person.app_password, idempotency_key="k")
    token = service.session().refresh_token
    await Calls(service).delete(reply.profile_key)
    for table in ("profiles", "connections", "credentials", "sessions", "idempotency_records"):
        assert service.rows(f"SELECT * FROM {table}") == []
    events = service.rows("SELECT * FROM events ORDER BY number")
    assert [(event["number"], event["kind"]) for event in events] == [
        (1, "CONNECTED"),
        (2, "DISCONNECTED"),
    ]
    for event in events:
        assert event["profile_key"] == reply.profile_key
        assert event["connection"] is None
        assert event["occurred_at"] is None
    assert person.handle not in repr(events)
    async with asyncio.timeout(5):
        while await is_live(bluesky.origin, token):
            await asyncio.sleep(0.02)
    again = await service.connect(person.handle, person.app_password, idempotency_key="k")
    assert again.profile_key != reply.profile_key


async def test_changes_are_written_as_events(
    sandboxed: Running, sandbox: SandboxBluesky, calls_of: Calls
) -> None:
    """In the same transaction, numbered without gaps for each tenant, with the connection."""
    person = await sandbox.person()
    reply = await sandboxed.connect(person.handle, person.app_password)
    await sandboxed.connect(person.handle, person.app_password, profile_key=reply.profile_key)
    await sandboxed.refused(person.handle, "abcd-efgh-ijkl-mnop", profile_key=reply.profile_key)
    await calls_of.disconnect(reply.profile_key)
    stranger, _ = await sandboxed.new_key(tenant_id=await sandboxed.new_tenant())
    await sandboxed.connect(person.handle, person.app_password, api_key=stranger)
    events = sandboxed.rows(
        "SELECT * FROM events WHERE tenant_id = ? ORDER BY number", sandboxed.tenant_id
    )
    assert [(event["number"], event["kind"]) for event in events] == [
        (1, "CONNECTED"),
        (2, "RECONNECTED"),
        (3, "DISCONNECTED"),
    ]
    assert json.loads(events[2]["connection"])["username"] == person.handle
    assert [e["number"] for e in sandboxed.rows("SELECT * FROM events")].count(1) == 2


async def test_absent_ill_formed_and_foreign_profiles_look_the_same(
    sandboxed: Running, calls_of: Calls
) -> None:
    """PROFILE_NOT_FOUND from get, delete and disconnect, byte for byte."""
    mine = (await calls_of.create()).profile_key
    stranger, _ = await sandboxed.new_key(tenant_id=await sandboxed.new_tenant())
    theirs = Calls(sandboxed, stranger)
    wires = set()
    for calls, key in (
        (theirs, mine),
        (calls_of, "prof_absent"),
        (calls_of, "../prof\0"),
        (calls_of, "x" * 5000),
    ):
        for call in (calls.get(key), calls.delete(key), calls.disconnect(key)):
            refusal = await refused(call)
            assert refusal.reason == "PROFILE_NOT_FOUND"
            wires.add(refusal.wire)
    assert len(wires) == 1
    assert (await calls_of.get(mine)).profile_key == mine
    assert await theirs.all_keys(10) == []


async def test_what_is_required_is_named(calls_of: Calls) -> None:
    """An empty key or platform is INVALID_REQUEST on that field."""
    for call, field in (
        (calls_of.get(""), "profile_key"),
        (calls_of.delete(""), "profile_key"),
        (calls_of.disconnect(""), "profile_key"),
        (calls_of.disconnect("prof_absent", ""), "platform"),
        (calls_of.disconnect("prof_absent", "x" * 65), "platform"),
    ):
        refusal = await refused(call)
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", (field,))


async def test_platforms_that_are_not_connected(calls_of: Calls) -> None:
    """Also those that are unknown, or joined by OAuth."""
    mine = (await calls_of.create()).profile_key
    for platform in ("bluesky", "linkedin", "myspace"):
        refusal = await refused(calls_of.disconnect(mine, platform))
        assert refusal.reason == "PLATFORM_NOT_CONNECTED"


async def test_page_tokens_of_another_keyring(
    sandboxed: Running, calls_of: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens made before the keyring was replaced are refused, not a fault of ours."""
    from service.crypto.keyring import Keyring
    from service.crypto.tokens import Tokens
    from service.domain.model import Place

    other = sandboxed.settings.keyring_file.with_name("other.json")
    create_keyring(other, new_keys("test"))
    token = Tokens(Keyring(other)).page(
        Place(1, "prof_a"), sandboxed.tenant_id, "ListProfiles", "False"
    )
    assert (await refused(calls_of.page(1, token))).reason == "INVALID_REQUEST"
