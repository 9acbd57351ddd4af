"""Bad input: what a user of Python sees of it."""

import json
from collections.abc import Callable

import grpc

from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1.profile_pb2 import ConnectionState
from postcore_example.calls import connect
from postcore_example.client import Client, environ
from postcore_example.refusal import Refusal


def refusals() -> int:
    """Print a line of JSON for each bad input.

    POSTCORE_FUTURE_ADDRESS is a server of a later version. When "watching" is printed, the other
    server stops.
    """
    address = environ("GRPC_ADDRESS")
    with (
        Client(address, environ("API_KEY")) as client,
        Client(address, "pc_live_unknown") as stranger,
        Client(environ("FUTURE_ADDRESS"), environ("API_KEY")) as future,
    ):
        key, profiles = client.metadata, client.profiles
        everything = pb.ListProfilesRequest()
        oauth = pb.ConnectProfileRequest(platform="linkedin")
        long = pb.GetProfileRequest(profile_key="x" * (64 * 1024 - 3))
        unknown: grpc.UnaryUnaryMultiCallable[bytes, bytes] = client.channel.unary_unary(
            "/postcore.profiles.v1.ProfileService/Unknown"
        )
        show(
            "wrong key",
            lambda: stranger.profiles.ListProfiles(everything, metadata=stranger.metadata),
        )
        show(
            "refused password",
            lambda: connect(client, "user.bsky.social", "aaaa-bbbb-cccc-dddd"),
        )
        show("OAuth platform", lambda: profiles.ConnectProfile(oauth, metadata=key))
        show(
            "expired deadline",
            lambda: list(
                profiles.WatchConnections(pb.WatchConnectionsRequest(), metadata=key, timeout=0.1)
            ),
        )
        show("message of 64 KiB + 1", lambda: profiles.GetProfile(long, metadata=key))
        show("unknown method", lambda: unknown(b"", metadata=key))
        show("unknown reason", lambda: future.profiles.ListProfiles(everything, metadata=key))
        reply = future.profiles.GetProfile(pb.GetProfileRequest(), metadata=key)
        show(
            "unknown enum value",
            lambda: ConnectionState.Name(reply.profile.connected_platforms[0].state),
        )
        show("server stops in a watch", lambda: watch(client, "watching"))
    return 0


def show(name: str, call: Callable[[], object]) -> None:
    code, reason, text = "OK", "", ""
    try:
        call()
    except Refusal as refusal:
        code, reason, text = refusal.code.name, refusal.reason, str(refusal.__cause__)
    except grpc.RpcError as error:
        code, reason, text = error.code().name, Refusal(error).reason, str(error)
    except ValueError as error:
        text = repr(error)
    print(json.dumps({"case": name, "code": code, "reason": reason, "text": text}), flush=True)


def watch(client: Client, begun: str) -> None:
    """Print *begun* at the first message, and go on to the end of the stream."""
    for message in client.profiles.WatchConnections(
        pb.WatchConnectionsRequest(), metadata=client.metadata
    ):
        if begun and message.cursor:
            print(begun, flush=True)
            begun = ""


def reach() -> int:
    """Watch a target as this language takes it, with keepalive pings, and print how it ends."""
    options: list[tuple[str, str | int]] = []
    if seconds := environ("KEEPALIVE_SECONDS"):
        options = [("grpc.keepalive_time_ms", int(seconds) * 1000)]
    with Client(environ("GRPC_ADDRESS"), environ("API_KEY"), options) as client:
        request = pb.WatchConnectionsRequest()
        stream = client.profiles.WatchConnections(
            request, metadata=client.metadata, timeout=int(environ("IDLE_SECONDS") or 0) or 30
        )
        try:
            next(stream)
            print("reached", flush=True)
            for _ in stream if environ("IDLE_SECONDS") != "0" else ():
                pass
        except grpc.RpcError as error:
            print(error)
    return 0
