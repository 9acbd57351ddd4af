"""Routes: map verbs and paths to methods of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.descriptor import MethodDescriptor

from service.transport.servicers import SERVICES

METHODS: Mapping[str, MethodDescriptor] = MappingProxyType(
    {method.name: method for service in SERVICES for method in service.methods}
)


@dataclass(frozen=True, slots=True)
class Route:
    """A method of the contract over HTTP.

    The fields of the request come from the path, and from the body if *body* is set, else from
    the query. *required* are the required fields of the body. The response body is *reply_field*
    of the reply; empty: the whole reply. *message* replaces a reply without fields.
    """

    verb: str
    path: str
    method: str
    status: int = 200
    body: bool = False
    required: tuple[str, ...] = ()
    reply_field: str = ""
    message: str = ""

    @property
    def contract(self) -> MethodDescriptor:
        return METHODS[self.method]


ROUTES = (
    Route(
        "POST",
        "/profiles/connect",
        "ConnectProfile",
        status=201,
        body=True,
        required=("platform", "credentials"),
    ),
    Route(
        "POST",
        "/profiles/connect-links",
        "CreateConnectLink",
        status=201,
        body=True,
        required=("appName",),
    ),
    Route(
        "DELETE",
        "/profiles/connect-links/{linkId}",
        "RevokeConnectLink",
        message="Link revoked successfully",
    ),
    Route("POST", "/profiles/create", "CreateProfile", status=201, body=True),
    Route("GET", "/profiles", "ListProfiles"),
    Route("GET", "/profiles/{profileKey}", "GetProfile", reply_field="profile"),
    Route(
        "DELETE", "/profiles/{profileKey}", "DeleteProfile", message="Profile deleted successfully"
    ),
    Route(
        "DELETE",
        "/profiles/{profileKey}/platforms/{platform}",
        "DisconnectPlatform",
        message="Platform disconnected successfully",
    ),
    Route(
        "POST",
        "/profiles/{profileKey}/platforms/{platform}/verify",
        "VerifyConnection",
        reply_field="connection",
    ),
    Route("GET", "/platforms", "ListPlatforms"),
    Route("POST", "/webhooks", "CreateWebhook", status=201, body=True, required=("url",)),
    Route("GET", "/webhooks", "ListWebhooks"),
    Route("GET", "/webhooks/{webhookId}", "GetWebhook", reply_field="webhook"),
    Route(
        "DELETE", "/webhooks/{webhookId}", "DeleteWebhook", message="Webhook deleted successfully"
    ),
    Route("POST", "/webhooks/{webhookId}/enable", "EnableWebhook", reply_field="webhook"),
    Route("POST", "/webhooks/{webhookId}/rotate", "RotateWebhookSecret"),
    Route("POST", "/webhooks/{webhookId}/test", "TestWebhook"),
    Route("GET", "/webhooks/{webhookId}/failed", "ListFailedDeliveries"),
    Route("POST", "/webhooks/{webhookId}/replay", "ReplayDeliveries"),
)
"""Leases and watches are served over gRPC only, to the operator's own services."""

OAUTH_ENTRANCE = "/profiles/connect"
HEALTH = "/health"
DOCUMENT = "/openapi.json"
DOCS = "/docs"
