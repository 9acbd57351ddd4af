"""WatchConnections through the stub: content, order and start of the stream."""

import asyncio
import base64
import json
import random

import grpc.aio
import pytest

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.crypto.keyring import Keyring
from service.crypto.tokens import Tokens
from service.domain.model import Place
from service.events import latest_events
from tests.support.bluesky import SandboxBluesky
from tests.support.engines import on_both
from tests.support.running import Running
from tests.support.watcher import Beside, Watcher, begun, beside

Kind = profile_pb2.ConnectionEvent
engine = on_both


def kinds(events: "list[Kind]") -> list[str]:
    return [Kind.Kind.Name(event.kind).removeprefix("KIND_") for event in events]


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is polled for other processes' writes once a minute."""
    monkeypatch.setattr(latest_events, "POLL_SECONDS", 60.0)


@pytest.mark.usefixtures("seldom")
async def test_changes_are_sent_as_they_are_made(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """The first message is only a cursor.

    Each change follows soon after it is made, with the connection's state at that time.
    """
    person = await sandbox.person()
    watcher = Watcher(sandboxed)
    assert not (await watcher.message()).events
    reply = await sandboxed.connect(person.handle, person.app_password)
    started = asyncio.get_running_loop().time()
    [connected] = await watcher.events(1)
    assert asyncio.get_running_loop().time() - started < 30, "it waited for the next look"
    key = pb.GetProfileRequest(profile_key=reply.profile_key)
    got = await sandboxed.profiles.GetProfile(key, metadata=sandboxed.metadata())
    assert kinds([connected]) == ["CONNECTED"]
    assert connected.profile_key == reply.profile_key
    assert connected.connection == got.profile.connected_platforms[0]
    assert connected.occurred_at == connected.connection.connected_at
    await sandboxed.connect(person.handle, person.app_password, profile_key=reply.profile_key)
    place = pb.DisconnectPlatformRequest(profile_key=reply.profile_key, platform="bluesky")
    await sandboxed.profiles.DisconnectPlatform(place, metadata=sandboxed.metadata())
    events = await watcher.events(2)
    assert kinds(events) == ["RECONNECTED", "DISCONNECTED"]
    assert events[1].connection.username == person.handle
    assert events[1].occurred_at.seconds >= connected.occurred_at.seconds


async def test_a_deleted_profile_is_sent_without_its_connection(sandboxed: Running) -> None:
    """All events of a deleted profile, including earlier ones, keep only kind and key."""
    async with beside(sandboxed) as others:
        watcher = await begun(sandboxed)
        key = await others.connect()
        [before] = await watcher.events(1)
        assert before.HasField("connection")
        await others.delete(key)
        for events in (
            await watcher.events(1),
            await Watcher(sandboxed, from_oldest=True).events(2),
        ):
            assert events[-1] == Kind(kind="KIND_DISCONNECTED", profile_key=key)
        assert events[0] == Kind(kind="KIND_CONNECTED", profile_key=key)


async def test_events_of_a_newer_version_follow_the_contract(
    sandboxed: Running,
) -> None:
    """During an upgrade, nodes of both versions share one store.

    No event is left out, the stream continues, and the profile can be read: unknown fields are
    dropped, an unknown state is not verified, and an unknown reason means reconnect.
    """
    async with beside(sandboxed) as others:
        key = await others.connect()
        newer = {"state": "ASLEEP", "reconnect_reason": "TOO_LOUD", "later": [1]}
        [row] = sandboxed.rows("SELECT connection FROM events")
        written = json.dumps({**json.loads(row["connection"]), **newer})
        await sandboxed.execute("UPDATE events SET kind = 'PAUSED', connection = ?", written)
        await sandboxed.execute("UPDATE connections SET state = 'ASLEEP'")
        await sandboxed.execute("UPDATE connections SET reconnect_reason = 'TOO_LOUD'")
        watcher = Watcher(sandboxed, from_oldest=True)
        [event] = await watcher.events(1)
        assert kinds([event]) == ["UNVERIFIED"]
        await others.disconnect(await others.connect())
        assert kinds(await watcher.events(2)) == ["CONNECTED", "DISCONNECTED"]
    request = pb.GetProfileRequest(profile_key=key)
    got = await sandboxed.profiles.GetProfile(request, metadata=sandboxed.metadata())
    for connection in (event.connection, got.profile.connected_platforms[0]):
        assert connection.state == profile_pb2.CONNECTION_STATE_UNVERIFIED
        assert connection.needs_reconnect
        assert connection.reconnect_reason == profile_pb2.RECONNECT_REASON_CREDENTIAL_UNREADABLE


@pytest.mark.slow
async def test_a_watch_resumes_after_any_cursor(sandboxed: Running) -> None:
    """Each cursor resumes the stream exactly after it, without gaps and repeats.

    `from_oldest` has no effect with a cursor.
    """
    async with beside(sandboxed) as others:
        watcher = await begun(sandboxed)
        sent: list[tuple[str, int]] = [(watcher.cursor, 0)]
        keys: list[str] = []
        for _ in range(6):
            for _ in range(random.randint(1, 4)):
                keys += [await others.connect()]
            await watcher.events(len(keys) - sent[-1][1])
            sent.append((watcher.cursor, len(keys)))
        for cursor, received in sent:
            again = Watcher(sandboxed, cursor, from_oldest=True)
            if received == len(keys):
                assert not (await again.message()).events
            rest = await again.events(len(keys) - received)
            assert [event.profile_key for event in rest] == keys[received:]


async def test_a_watch_may_begin_at_the_oldest_event(sandboxed: Running) -> None:
    """The stream sends all kept events in order, in messages of bounded size.

    Without `from_oldest`, it begins with new events.
    """
    async with beside(sandboxed) as others:
        keys = [await others.connect() for _ in range(250)]
        watcher = Watcher(sandboxed, from_oldest=True)
        sizes: list[int] = []
        received: list[str] = []
        while len(received) < len(keys):
            message = await watcher.message()
            sizes.append(len(message.events))
            received += [event.profile_key for event in message.events]
        assert received == keys
        assert sizes == [100, 100, 50]
        assert not (await Watcher(sandboxed).message()).events


async def all_profiles(service: Running) -> dict[str, profile_pb2.Connection | None]:
    """Return each profile's connection from ListProfiles."""
    found: dict[str, profile_pb2.Connection | None] = {}
    token = ""
    while True:
        request = pb.ListProfilesRequest(page_size=7, page_token=token)
        page = await service.profiles.ListProfiles(request, metadata=service.metadata())
        for profile in page.profiles:
            found[profile.profile_key] = next(iter(profile.connected_platforms), None)
        token = page.next_page_token
        if not token:
            return found


def connected(copy: dict[str, profile_pb2.Connection | None]) -> dict[str, profile_pb2.Connection]:
    return {key: connection for key, connection in copy.items() if connection is not None}


async def change_a_lot(others: Beside, rounds: int) -> None:
    keys: list[str] = []
    for _ in range(rounds):
        match random.randrange(5) if keys else 0:
            case 0 | 1:
                keys.append(await others.connect())
            case 2:
                await others.connect(random.choice(keys), again=True)
            case 3:
                key = keys.pop(random.randrange(len(keys)))
                await others.disconnect(key)
            case 4:
                await others.delete(keys.pop(random.randrange(len(keys))))
        await asyncio.sleep(0)


@pytest.mark.slow
async def test_list_after_the_first_message_gives_a_full_copy(sandboxed: Running) -> None:
    """After all events are applied, the copy equals ListProfiles.

    This holds while other writers make changes and the stream ends repeatedly.
    """
    async with beside(sandboxed) as others:
        await change_a_lot(others, 40)
        changing = asyncio.gather(*(change_a_lot(others, 60) for _ in range(3)))
        watcher = await begun(sandboxed)
        copy = connected(await all_profiles(sandboxed))
        cursor = watcher.cursor
        last = ""
        messages = 0
        while True:
            if changing.done() and not last:
                last = await others.connect()
            message = await watcher.message()
            for event in message.events:
                if event.kind == Kind.KIND_DISCONNECTED or not event.HasField("connection"):
                    copy.pop(event.profile_key, None)
                else:
                    copy[event.profile_key] = event.connection
            cursor = message.cursor
            if last in copy:
                break
            messages += 1
            if messages % 3 == 0:
                watcher.call.cancel()
                watcher = Watcher(sandboxed, cursor)
        await changing
        assert copy == connected(await all_profiles(sandboxed))


@pytest.mark.slow
async def test_an_idle_stream_sends_messages(
    sandboxed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle messages hold only a cursor, each equally valid; only the caller's deadline ends the
    stream."""
    from service.events import watch

    assert watch.HEARTBEAT_SECONDS < 30
    monkeypatch.setattr("service.events.watch.HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("service.transport.grpc.methods.DEFAULT_SECONDS", 0.01)
    watcher = Watcher(sandboxed)
    cursors = set()
    for _ in range(5):
        message = await watcher.message()
        assert not message.events
        cursors.add(message.cursor)
    assert len(cursors) == 1
    limited = Watcher(sandboxed, timeout=0.5)
    assert (await limited.refusal()).code is grpc.StatusCode.DEADLINE_EXCEEDED
    async with beside(sandboxed) as others:
        await others.connect()
        while not (message := await watcher.message()).events:
            assert message.cursor in cursors
        assert message.cursor not in cursors


@pytest.mark.slow
async def test_two_streams_of_a_tenant_send_the_same(sandboxed: Running) -> None:
    """Streams of another tenant get none of these events."""
    stranger, _ = await sandboxed.new_key(tenant_id=await sandboxed.new_tenant())
    theirs = await begun(sandboxed, api_key=stranger)
    ours = [await begun(sandboxed) for _ in range(2)]
    their_id = sandboxed.rows(
        "SELECT tenant_id FROM tenants WHERE tenant_id != ?", sandboxed.tenant_id
    )[0]["tenant_id"]
    async with beside(sandboxed) as others:
        keys = [await others.connect() for _ in range(3)]
        for watcher in ours:
            assert [event.profile_key for event in await watcher.events(3)] == keys
        their_key = await others.connect(tenant_id=their_id)
        [event] = await theirs.events(1)
        assert event.profile_key == their_key
        [event] = await Watcher(sandboxed, from_oldest=True, api_key=stranger).events(1)
        assert event.profile_key == their_key


async def test_a_cursor_of_another_watch_is_refused(sandboxed: Running) -> None:
    """A cursor that is forged, cut, lengthened, re-encoded, of another tenant or use, or of future
    events is INVALID_REQUEST, naming `cursor`."""
    async with beside(sandboxed) as others:
        await others.connect()
    cursor = (await begun(sandboxed)).cursor
    stranger, _ = await sandboxed.new_key(tenant_id=await sandboxed.new_tenant())
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    flipped = [
        base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
        for at in range(len(raw))
    ]
    tokens = Tokens(Keyring(sandboxed.settings.keyring_file))
    tenant = sandboxed.tenant_id
    wrong = [
        *(text.rstrip("=") for text in flipped),
        *(cursor[:length] for length in range(1, len(cursor), 7)),
        cursor + "A",
        cursor + "=",
        cursor + "\n",
        f" {cursor}",
        base64.b64encode(raw).decode() + "====",
        raw.hex(),
        "x" * 10_000,
        "é",
        "0",
        tokens.cursor(2, tenant, "WatchConnections"),  # in the future
        tokens.cursor(2**63, tenant, "WatchConnections"),
        tokens.cursor(1, tenant, "ListProfiles"),
        tokens.page(Place(1, ""), tenant, "WatchConnections"),
    ]
    for text in wrong:
        refusal = await Watcher(sandboxed, text).refusal()
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("cursor",)), text
    refusal = await Watcher(sandboxed, cursor, api_key=stranger).refusal()
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("cursor",))
    assert tokens.cursor(1, tenant, "WatchConnections") == cursor
    await begun(sandboxed, cursor)
