"""Connecting: an account of any platform, by its credentials."""

from collections.abc import Mapping

from google.protobuf.json_format import ParseDict

from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.support.running import Running

USES = {
    "bluesky": "/xrpc/com.atproto.server.createSession",
    "ghost": "/users/",
    "mastodon": "/accounts/verify_credentials",
    "wordpress": "/application-passwords/introspect",
}
"""The end of the path that a proof of the owner's credential asks for, once for each."""


async def connect(
    service: Running, platform: str, credentials: Mapping[str, str], profile_key: str | None = None
) -> pb.ConnectProfileResponse:
    """Connect by *credentials*, which have the fields' JSON names."""
    request = pb.ConnectProfileRequest(profile_key=profile_key, platform=platform)
    ParseDict(dict(credentials), request.credentials)
    reply: pb.ConnectProfileResponse = await service.profiles.ConnectProfile(
        request, metadata=service.metadata(), timeout=20
    )
    return reply
