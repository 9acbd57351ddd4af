"""A client of the contract as first released: client.py story|get ADDRESS [PROFILE_KEY]

It runs in a process of its own, since one process cannot load two versions of a contract. The
folder `postcore` is protoc's output for contract.binpb, and stays as it is: a client out there has
stubs that are as old. The API keys are in the environment, the credentials on standard input.
Prints what it saw as JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, cast

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from postcore.profiles.v1 import (
    platform_service_pb2,
    platform_service_pb2_grpc,
    profile_service_pb2_grpc,
    session_service_pb2_grpc,
)
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb

SECONDS = 60
KEY = (("x-api-key", os.environ["GOLDEN_KEY"]),)
LEASING_KEY = (("x-api-key", os.environ.get("GOLDEN_LEASING_KEY", "")),)


def seen(message: Message) -> dict[str, Any]:
    """Return the fields of *message*, and the numbers of those that this client does not know."""
    fields: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    unknown: Any = UnknownFieldSet(message)
    fields["unknown"] = sorted({field.field_number for field in unknown})
    return fields


def refusal(call: Callable[..., Any], *given: Any, **more: Any) -> list[str]:
    """Return the code and the reason that a call fails with."""
    try:
        call(*given, timeout=SECONDS, **more)
    except grpc.RpcError as error:
        failed, info = cast("grpc.Call", error), error_details_pb2.ErrorInfo()
        status = rpc_status.from_call(failed)
        for detail in status.details if status else ():
            detail.Unpack(info)
        return [failed.code().name, info.reason]
    return ["OK", ""]


def story(channel: grpc.Channel) -> dict[str, Any]:
    """Watch, connect, get, list, lease, verify, be refused, disconnect and delete."""
    profiles = profile_service_pb2_grpc.ProfileServiceStub(channel)
    platforms = platform_service_pb2_grpc.PlatformServiceStub(channel)
    sessions = session_service_pb2_grpc.SessionServiceStub(channel)
    typed = json.loads(sys.stdin.read())
    credentials = pb.Credentials(handle=typed["handle"], app_password=typed["appPassword"])
    wrong = pb.Credentials(handle=typed["handle"], app_password="wxyz-efgh-ijkl-mnop")
    call: dict[str, Any] = {"metadata": KEY, "timeout": SECONDS}
    saw: dict[str, Any] = {}

    listed = platforms.ListPlatforms(platform_service_pb2.ListPlatformsRequest(), **call)
    saw["platforms"] = [platform.id for platform in listed.platforms]
    watch = profiles.WatchConnections(pb.WatchConnectionsRequest(), **call)
    cursor = next(watch).cursor
    connected = profiles.ConnectProfile(
        pb.ConnectProfileRequest(
            platform="bluesky", credentials=credentials, idempotency_key="golden"
        ),
        **call,
    )
    saw["connect"] = seen(connected)
    key = connected.profile_key
    of_connection = {"profile_key": key, "platform": "bluesky"}
    saw["watch"] = first_event(watch)
    watch.cancel()
    again = profiles.WatchConnections(pb.WatchConnectionsRequest(cursor=cursor), **call)
    saw["watch again"] = first_event(again)
    again.cancel()
    saw["get"] = seen(profiles.GetProfile(pb.GetProfileRequest(profile_key=key), **call).profile)
    page = profiles.ListProfiles(pb.ListProfilesRequest(), **call)
    saw["list"] = [seen(profile) for profile in page.profiles]
    saw["verify"] = seen(
        profiles.VerifyConnection(pb.VerifyConnectionRequest(**of_connection), **call).connection
    )
    lease = sessions_pb.LeaseSessionRequest(**of_connection)
    saw["lease"] = seen(sessions.LeaseSession(lease, metadata=LEASING_KEY, timeout=SECONDS))

    def connect(platform: str, given: pb.Credentials) -> list[str]:
        request = pb.ConnectProfileRequest(platform=platform, credentials=given)
        return refusal(profiles.ConnectProfile, request, metadata=KEY)

    get, nothing = pb.GetProfileRequest(profile_key="prof_gone"), pb.ListProfilesRequest()
    bad_cursor = pb.WatchConnectionsRequest(cursor="nonsense")
    long = pb.GetProfileRequest(profile_key="x" * 65_537)
    saw["refusals"] = {
        "password": connect("bluesky", wrong),
        "oauth": connect("linkedin", credentials),
        "platform": connect("myspace", credentials),
        "new fields": connect("wordpress", credentials),
        "profile": refusal(profiles.GetProfile, get, metadata=KEY),
        "no key": refusal(profiles.ListProfiles, nothing),
        "key": refusal(profiles.ListProfiles, nothing, metadata=(("x-api-key", "pc_live_no"),)),
        "scope": refusal(sessions.LeaseSession, lease, metadata=KEY),
        "cursor": refusal(
            lambda *given, **more: next(profiles.WatchConnections(*given, **more)),
            bad_cursor,
            metadata=KEY,
        ),
        "size": refusal(profiles.GetProfile, long, metadata=KEY),
    }
    profiles.DisconnectPlatform(pb.DisconnectPlatformRequest(**of_connection), **call)
    saw["refusals"]["disconnected"] = refusal(sessions.LeaseSession, lease, metadata=LEASING_KEY)
    profiles.DeleteProfile(pb.DeleteProfileRequest(profile_key=key), **call)
    saw["left"] = len(profiles.ListProfiles(pb.ListProfilesRequest(), **call).profiles)
    return saw


def first_event(watch: Any) -> dict[str, Any]:
    """Return the first event of a watch: a message may have none."""
    return next(seen(event) for message in watch for event in message.events)


def get(channel: grpc.Channel, profile_key: str) -> dict[str, Any]:
    """Return a profile, or why it cannot be had."""
    method = profile_service_pb2_grpc.ProfileServiceStub(channel).GetProfile
    request = pb.GetProfileRequest(profile_key=profile_key)
    refused = refusal(method, request, metadata=KEY)
    if refused != ["OK", ""]:
        return {"refusal": refused}
    profile = method(request, metadata=KEY, timeout=SECONDS).profile
    kept = type(profile).FromString(profile.SerializeToString()) == profile
    return {**seen(profile), "kept": kept}


if __name__ == "__main__":
    command, address, *arguments = sys.argv[1:]
    with grpc.insecure_channel(address) as connected_channel:
        saw = story(connected_channel) if command == "story" else get(connected_channel, *arguments)
    json.dump(saw, sys.stdout)
