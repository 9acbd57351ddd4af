"""Calls to a server under test."""

from typing import TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from postcore.profiles.v1 import platform_service_pb2 as platforms
from postcore.profiles.v1 import profile_service_pb2 as profiles
from tests.cli.home import DEADLINE

Reply = TypeVar("Reply", bound=Message)


def call(address: str, method: str, request: Message, kind: type[Reply], key: str = "") -> Reply:
    """Return the reply to a call; raise grpc.RpcError."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        return ask(request, timeout=DEADLINE, metadata=(("x-api-key", key),))


def list_platforms(address: str, key: str) -> str:
    """Return the status of a cheap call: OK if *key* is valid."""
    try:
        call(
            address,
            "/postcore.profiles.v1.PlatformService/ListPlatforms",
            platforms.ListPlatformsRequest(),
            platforms.ListPlatformsResponse,
            key,
        )
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def connect(address: str, key: str, profile_key: str | None = None) -> str:
    """Connect the sandbox's sample account and return its username."""
    credentials = profiles.Credentials(
        handle="user.bsky.social", app_password="abcd-efgh-ijkl-mnop"
    )
    return call(
        address,
        "/postcore.profiles.v1.ProfileService/ConnectProfile",
        profiles.ConnectProfileRequest(
            profile_key=profile_key, platform="bluesky", credentials=credentials
        ),
        profiles.ConnectProfileResponse,
        key,
    ).username


def health(address: str) -> str:
    """Return the server's health, or the status of a failed call."""
    try:
        reply = call(
            address,
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest(),
            health_pb2.HealthCheckResponse,
        )
    except grpc.RpcError as error:
        return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))
