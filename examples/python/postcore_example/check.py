"""Check: every check against the sandbox, with a line for each."""

from collections.abc import Callable

import grpc

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.platform_service_pb2 import ListPlatformsRequest
from postcore.profiles.v1.profile_pb2 import ConnectionEvent, ReconnectReason
from postcore_example.calls import connect, next_events, post
from postcore_example.client import Client, environ
from postcore_example.refusal import Refusal, refusals

HANDLE = "user.bsky.social"
APP_PASSWORD = "abcd-efgh-ijkl-mnop"


class Checks:
    """Counts checks, and prints each."""

    def __init__(self) -> None:
        self.count = self.failed = 0

    def verify(self, name: str, right: bool, seen: object) -> None:
        self.count += 1
        self.failed += not right
        print(f"{'ok  ' if right else 'FAIL'} {name}: {seen}")

    def refused(self, name: str, call: Callable[[], object], reason: str) -> Refusal:
        """Check that *call* is refused for *reason*; return how."""
        known = refusal(call)
        self.verify(name, known.reason == reason, known)
        return known


def refusal(call: Callable[[], object]) -> Refusal:
    """The refusal of a call that is expected to be refused."""
    try:
        with refusals():
            call()
    except Refusal as known:
        return known
    raise AssertionError("the call was not refused")


def check() -> int:
    """Run all checks; return the exit code."""
    checks = Checks()
    address = environ("GRPC_ADDRESS")
    with Client(address, environ("API_KEY")) as client, Client(address, "pc_unknown") as stranger:
        calls_and_refusals(checks, client, stranger)
        connection_and_watch(checks, client)
    print(f"{checks.count} checks, {checks.failed} failed")
    return 1 if checks.failed else 0


def calls_and_refusals(checks: Checks, client: Client, stranger: Client) -> None:
    """A call, and each kind of refusal."""
    key, profiles = client.metadata, client.profiles
    listed = client.platforms.ListPlatforms(ListPlatformsRequest(), metadata=key, timeout=10)
    checks.verify("platforms", len(listed.platforms) > 0, len(listed.platforms))

    everything = pb.ListProfilesRequest()
    checks.refused(
        "wrong key",
        lambda: stranger.profiles.ListProfiles(everything, metadata=stranger.metadata),
        "INVALID_API_KEY",
    )

    negative = pb.ListProfilesRequest(page_size=-1)
    known = checks.refused(
        "wrong field", lambda: profiles.ListProfiles(negative, metadata=key), "INVALID_REQUEST"
    )
    checks.verify("its name", "page_size" in known.fields, known.fields)

    oauth = pb.ConnectProfileRequest(platform="linkedin")
    checks.refused(
        "OAuth platform", lambda: profiles.ConnectProfile(oauth, metadata=key), "USE_GET_FOR_OAUTH"
    )

    known = checks.refused(
        "refused password",
        lambda: connect(client, HANDLE, "aaaa-bbbb-cccc-dddd"),
        "INVALID_CREDENTIALS",
    )
    cause = known.metadata.get("cause")
    checks.verify("its cause", cause == "REJECTED_BY_PLATFORM", cause)

    known = checks.refused(
        "busy platform",  # the sandbox limits this account
        lambda: connect(client, "alice.test", "alic-eapp-pass-word"),
        "PLATFORM_RATE_LIMITED",
    )
    checks.verify("when to retry", known.retry_seconds >= 1, f"{known.retry_seconds} s")

    watch = pb.WatchConnectionsRequest()  # has no end of its own
    known = refusal(lambda: list(profiles.WatchConnections(watch, metadata=key, timeout=0.1)))
    late = known.code is grpc.StatusCode.DEADLINE_EXCEEDED
    checks.verify("deadline", late, known.code.name)


def connection_and_watch(checks: Checks, client: Client) -> None:
    """A connection from its begin to its end, as a watch shows it."""
    key, profiles = client.metadata, client.profiles
    shop = pb.CreateProfileRequest(profile_name="Shop")
    named = profiles.CreateProfile(shop, metadata=key, timeout=10)
    checks.verify("set field", named.profile_name == "Shop", named.profile_name)
    connected = connect(client, HANDLE, APP_PASSWORD)
    checks.verify("connect", connected.username == HANDLE, connected.username)
    wanted = pb.GetProfileRequest(profile_key=connected.profile_key)
    profile = profiles.GetProfile(wanted, metadata=key, timeout=10).profile
    is_unset = not profile.HasField("profile_name")
    checks.verify("unset field", is_unset, is_unset)

    wanted = pb.GetProfileRequest(profile_key=environ("BROKEN_PROFILE"))
    [broken] = profiles.GetProfile(wanted, metadata=key, timeout=10).profile.connected_platforms
    reason = broken.reconnect_reason  # a number without a name, where these stubs are older
    name = ReconnectReason.Name(reason) if reason in ReconnectReason.values() else reason
    checks.verify("broken connection", broken.needs_reconnect and reason == 8, name)

    uri = post(client, connected.profile_key, "Hello from Python")
    checks.verify("lease and post", uri.startswith("at://"), uri)

    end = pb.DisconnectPlatformRequest(profile_key=connected.profile_key, platform="bluesky")
    first, cursor = next_events(
        client, begin=lambda: profiles.DisconnectPlatform(end, metadata=key, timeout=10)
    )
    [event] = first.events
    is_end = event.kind == ConnectionEvent.KIND_DISCONNECTED
    checks.verify("watch", is_end and event.profile_key == end.profile_key, len(first.events))
    again, _ = next_events(client, cursor)
    checks.verify("resumed watch", again == first, again.cursor == first.cursor)
