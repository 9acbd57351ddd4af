"""Methods: the measured calls, and the replies that a real client must get first."""

from collections.abc import Sequence
from itertools import islice
from random import Random
from typing import TypeAlias

import grpc.aio
from google.protobuf.message import Message

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from tests.bench.echo import METHOD
from tests.bench.load import Work, WrongReplies
from tests.bench.seed import Owner

Call: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
PACKAGE = "/postcore.profiles.v1."
GET, LIST, LEASE, PLATFORMS = (
    f"{PACKAGE}{method}"
    for method in (
        "ProfileService/GetProfile",
        "ProfileService/ListProfiles",
        "SessionService/LeaseSession",
        "PlatformService/ListPlatforms",
    )
)
ECHO = f"/{METHOD[0]}/{METHOD[1]}"
REPLIES: dict[str, type[Message]] = {
    GET: pb.GetProfileResponse,
    LIST: pb.ListProfilesResponse,
    LEASE: sessions_pb.LeaseSessionResponse,
    PLATFORMS: platforms_pb.ListPlatformsResponse,
}
PAGE = 50
LOADS = 8
"""Keys in use at once, each with its own profile."""


def request(method: str, profile_key: str) -> Message:
    if method == GET:
        return pb.GetProfileRequest(profile_key=profile_key)
    if method == LIST:
        return pb.ListProfilesRequest(page_size=PAGE)
    if method == LEASE:
        return sessions_pb.LeaseSessionRequest(profile_key=profile_key, platform="bluesky")
    return platforms_pb.ListPlatformsRequest()


async def works(
    address: str, method: str, owners: Sequence[Owner], chance: Random, guarded: bool = False
) -> list[Work]:
    """Return calls of *method*, with other keys and profiles each time.

    Raise WrongReplies unless a client gets the expected reply. *guarded*: the method is the empty
    one of `echo`.
    """
    found = []
    async with grpc.aio.insecure_channel(address) as channel:
        call: Call = channel.unary_unary(method)
        for number in range(LOADS):
            owner = owners[(chance.randrange(len(owners)) + number) % len(owners)]
            profile_key, key = chance.choice(list(owner.tokens)), chance.choice(owner.keys)
            encoded = request(method, profile_key).SerializeToString()
            reply: bytes = await call(encoded, metadata=(("x-api-key", key),), timeout=10)
            right = reply == b"" if guarded else is_right(method, reply, owner, profile_key)
            if not right:
                raise WrongReplies(f"{method}: a client got another reply")
            found.append(Work(method, encoded, len(reply), key))
    return found


async def echoes(address: str, like: Sequence[Work]) -> list[Work]:
    """Return the same requests, with the same keys, for the bare echo."""
    found = []
    async with grpc.aio.insecure_channel(address) as channel:
        call: Call = channel.unary_unary(ECHO)
        for work in like:
            if await call(work.request, timeout=10) != work.request:
                raise WrongReplies("the echo returned other bytes")
            found.append(Work(ECHO, work.request, len(work.request), work.api_key))
    return found


def is_right(method: str, reply: bytes, owner: Owner, profile_key: str) -> bool:
    """Return whether *reply* matches the planted store."""
    message = REPLIES[method].FromString(reply)
    if isinstance(message, pb.GetProfileResponse):
        [connection] = message.profile.connected_platforms
        return (message.profile.profile_key, connection.platform) == (profile_key, "bluesky")
    if isinstance(message, pb.ListProfilesResponse):
        listed = [profile.profile_key for profile in message.profiles]
        expected = set(islice(owner.tokens, 2 * PAGE))  # profiles planted together are in any order
        return len(listed) == PAGE and set(listed) <= expected and bool(message.next_page_token)
    if isinstance(message, sessions_pb.LeaseSessionResponse):
        return message.access_token == owner.tokens[profile_key]
    assert isinstance(message, platforms_pb.ListPlatformsResponse)
    return "bluesky" in [platform.id for platform in message.platforms]
