"""Client: the stubs of the three services, on one channel."""

import os
from collections.abc import Sequence
from pathlib import Path

import grpc

from postcore.profiles.v1.platform_service_pb2_grpc import PlatformServiceStub
from postcore.profiles.v1.profile_service_pb2_grpc import ProfileServiceStub
from postcore.profiles.v1.session_service_pb2_grpc import SessionServiceStub

SERVICE_CONFIG = Path("../../protos/service_config.json")
"""Retries, load balancing and health checks."""


class Client:
    """Sends *key* with each call. Use a secure channel for any server but a local one."""

    def __init__(
        self, target: str, key: str, options: Sequence[tuple[str, str | int]] = ()
    ) -> None:
        config = ("grpc.service_config", SERVICE_CONFIG.read_text())
        self.channel = grpc.insecure_channel(target, options=[config, *options])
        self.metadata = (("x-api-key", key),)
        self.platforms = PlatformServiceStub(self.channel)
        self.profiles = ProfileServiceStub(self.channel)
        self.sessions = SessionServiceStub(self.channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


def environ(name: str) -> str:
    """The value of an environment variable; empty where there is none."""
    return os.environ.get(f"POSTCORE_{name}", "")
