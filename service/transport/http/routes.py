"""The routes: which path and verb is which method of the contract, and how its reply is shown."""

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
    """One method of the contract over HTTP.

    The request's fields come from the path, and the others from the body where *body* is set,
    from the query where it is not. *required* are those that it has to hold. *shown* is the field
    of the reply that is the body, empty: the whole reply; *message* stands in place of a reply
    without fields.
    """

    verb: str
    path: str
    method: str
    status: int = 200
    body: bool = False
    required: tuple[str, ...] = ()
    shown: str = ""
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
    Route("POST", "/profiles/create", "CreateProfile", status=201, body=True),
    Route("GET", "/profiles", "ListProfiles"),
    Route("GET", "/profiles/{profileKey}", "GetProfile", shown="profile"),
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
        shown="connection",
    ),
    Route("GET", "/platforms", "ListPlatforms"),
)
"""Leases and watches are for services of one's own, over gRPC alone."""

OAUTH_ENTRANCE = "/profiles/connect"
HEALTH = "/health"
DOCUMENT = "/openapi.json"
DOCS = "/docs"
