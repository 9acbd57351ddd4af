"""Servicers: translate each message of the contract into a call of a use case, and back.

They are independent of the transport and choose no status.
"""

# ruff: noqa: N802 - methods are named as in the contract

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from types import MappingProxyType

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from postcore.profiles.v1 import webhook_service_pb2 as webhooks_pb
from service.connections.connect import Connect, ConnectRequest
from service.connections.health import Health
from service.connections.leases import LeaseRequest, Leases
from service.connections.links import ConnectLinks, LinkRequest
from service.domain.model import Caller, PlatformCard, Scope
from service.domain.names import required_platform_id, required_profile_key
from service.events.watch import Watch
from service.profiles.profiles import Profiles
from service.transport import conversion

SCOPES: Mapping[str, Scope | None] = MappingProxyType(
    {
        "ConnectProfile": Scope.PROFILES_WRITE,
        "CreateConnectLink": Scope.PROFILES_WRITE,
        "RevokeConnectLink": Scope.PROFILES_WRITE,
        "CreateProfile": Scope.PROFILES_WRITE,
        "GetProfile": Scope.PROFILES_READ,
        "ListProfiles": Scope.PROFILES_READ,
        "DeleteProfile": Scope.PROFILES_WRITE,
        "DisconnectPlatform": Scope.PROFILES_WRITE,
        "VerifyConnection": Scope.PROFILES_WRITE,
        "WatchConnections": Scope.PROFILES_READ,
        "ListPlatforms": None,
        "LeaseSession": Scope.SESSIONS_LEASE,
        **{
            method.name: Scope.WEBHOOKS_WRITE
            for method in webhooks_pb.DESCRIPTOR.services_by_name["WebhookService"].methods
        },
    }
)
"""The scope that each method requires; None accepts any key."""


class ProfileServicer:
    """postcore.profiles.v1.ProfileService"""

    def __init__(
        self,
        connect: Connect,
        links: ConnectLinks,
        profiles: Profiles,
        health: Health,
        watch: Watch,
    ) -> None:
        self._connect = connect
        self._links = links
        self._profiles = profiles
        self._health = health
        self._watch = watch

    async def ConnectProfile(
        self, request: pb.ConnectProfileRequest, caller: Caller
    ) -> pb.ConnectProfileResponse:
        connected = await self._connect.connect(
            caller,
            ConnectRequest(
                request.profile_key if request.HasField("profile_key") else None,
                request.platform,
                conversion.credentials(request.credentials),
                request.idempotency_key,
            ),
        )
        return pb.ConnectProfileResponse(
            profile_key=connected.profile_key,
            platform=connected.platform,
            username=connected.username,
        )

    async def CreateConnectLink(
        self, request: pb.CreateConnectLinkRequest, caller: Caller
    ) -> pb.CreateConnectLinkResponse:
        link = await self._links.create(
            caller,
            LinkRequest(
                request.profile_key if request.HasField("profile_key") else None,
                request.platform,
                request.app_name,
                request.return_url,
                request.state,
                request.locale,
                request.expires_in,
                request.idempotency_key,
            ),
        )
        response = pb.CreateConnectLinkResponse(url=link.url, link_id=link.link_id)
        conversion.timestamp(link.expires_at, response.expires_at)
        return response

    async def RevokeConnectLink(
        self, request: pb.RevokeConnectLinkRequest, caller: Caller
    ) -> pb.RevokeConnectLinkResponse:
        await self._links.revoke(caller, request.link_id)
        return pb.RevokeConnectLinkResponse()

    async def CreateProfile(
        self, request: pb.CreateProfileRequest, caller: Caller
    ) -> pb.CreateProfileResponse:
        name = request.profile_name if request.HasField("profile_name") else None
        created = await self._profiles.create(caller, name, request.idempotency_key)
        return pb.CreateProfileResponse(
            profile_key=created.profile_key, profile_name=created.profile_name
        )

    async def GetProfile(
        self, request: pb.GetProfileRequest, caller: Caller
    ) -> pb.GetProfileResponse:
        profile = await self._profiles.get(caller, request.profile_key)
        response = pb.GetProfileResponse()
        conversion.profile(profile, response.profile)
        return response

    async def ListProfiles(
        self, request: pb.ListProfilesRequest, caller: Caller
    ) -> pb.ListProfilesResponse:
        page = await self._profiles.list(
            caller,
            request.page_size,
            request.page_token,
            to_reconnect=request.needs_reconnect_only,
        )
        response = pb.ListProfilesResponse(next_page_token=page.next_page_token)
        for profile in page.profiles:
            conversion.profile(profile, response.profiles.add())
        return response

    async def DeleteProfile(
        self, request: pb.DeleteProfileRequest, caller: Caller
    ) -> pb.DeleteProfileResponse:
        await self._profiles.delete(caller, request.profile_key)
        return pb.DeleteProfileResponse()

    async def DisconnectPlatform(
        self, request: pb.DisconnectPlatformRequest, caller: Caller
    ) -> pb.DisconnectPlatformResponse:
        await self._profiles.disconnect(caller, request.profile_key, request.platform)
        return pb.DisconnectPlatformResponse()

    async def VerifyConnection(
        self, request: pb.VerifyConnectionRequest, caller: Caller
    ) -> pb.VerifyConnectionResponse:
        connection = await self._health.verify(
            caller,
            required_profile_key(request.profile_key),
            required_platform_id(request.platform),
        )
        response = pb.VerifyConnectionResponse()
        conversion.connection(connection, response.connection)
        return response

    async def WatchConnections(
        self, request: pb.WatchConnectionsRequest, caller: Caller
    ) -> AsyncGenerator[pb.WatchConnectionsResponse, None]:
        batches = self._watch.batches(caller, request.cursor, from_oldest=request.from_oldest)
        async with aclosing(batches):
            async for batch in batches:
                response = pb.WatchConnectionsResponse(cursor=batch.cursor)
                for event in batch.events:
                    conversion.event(event, response.events.add())
                yield response


class PlatformServicer:
    """postcore.profiles.v1.PlatformService"""

    def __init__(self, cards: Iterable[PlatformCard]) -> None:
        self._reply = platforms_pb.ListPlatformsResponse(
            platforms=[conversion.platform(card) for card in cards]
        )

    async def ListPlatforms(
        self, request: platforms_pb.ListPlatformsRequest, caller: Caller
    ) -> platforms_pb.ListPlatformsResponse:
        return self._reply


class SessionServicer:
    """postcore.profiles.v1.SessionService"""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    async def LeaseSession(
        self, request: sessions_pb.LeaseSessionRequest, caller: Caller
    ) -> sessions_pb.LeaseSessionResponse:
        lease = await self._leases.lease(
            caller,
            LeaseRequest(request.profile_key, request.platform, request.rejected_access_token),
        )
        return conversion.lease(lease)


SERVICES = (
    pb.DESCRIPTOR.services_by_name["ProfileService"],
    platforms_pb.DESCRIPTOR.services_by_name["PlatformService"],
    sessions_pb.DESCRIPTOR.services_by_name["SessionService"],
    webhooks_pb.DESCRIPTOR.services_by_name["WebhookService"],
)
