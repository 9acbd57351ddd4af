"""The request fields that can name another tenant's resources.

Every field of every request must be listed here, either as harmless or as such a field; a new
method or field fails the attack until it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor

from service.domain.ids import random_id
from service.sandbox.sites import SITES
from service.transport.http.routes import METHODS

Fields = dict[str, Any]
HARMLESS = {
    *("platform", "handle", "app_password", "site", "username", "access_token", "api_key"),
    "profile_name",
    *("url", "event_types", "secret", "seconds", "nanos"),
    *("page_size", "needs_reconnect_only", "from_oldest"),
}
"""Fields that name no tenant's resources."""
NAME = "mine"
ALSO_CONNECTED = tuple(each.platform for each in SITES)
"""The platforms to which an owner's first profile is connected, besides Bluesky."""
ALSO: Mapping[str, Fields] = {
    "ConnectProfile": {
        "platform": "bluesky",
        "credentials": {"handle": "missing.test", "appPassword": "abcd-efgh-ijkl-mnop"},
    },
    "CreateProfile": {"profileName": NAME},
    "DisconnectPlatform": {"platform": "bluesky"},
    "VerifyConnection": {"platform": "bluesky"},
    "LeaseSession": {"platform": "bluesky"},
    "ReplayDeliveries": {"messageId": "msg_none_1"},
}
"""Further fields that a request needs in order to reach the look-up."""


@dataclass(frozen=True)
class Reach:
    """A value of *field* that belongs to another tenant, and one that does not exist.

    *beside*: further fields of the request.
    """

    method: str
    field: str
    theirs: str
    missing: str
    beside: Mapping[str, Any]

    def request(self, value: str) -> Fields:
        return {**ALSO.get(self.method, {}), **self.beside, _json_name(self.field): value}


@dataclass(frozen=True)
class Owner:
    """A tenant, and one resource of every kind that can be named."""

    tenant_id: str
    profiles: tuple[str, str]
    """A connected profile and an unconnected one."""
    token: str
    cursor: str
    idempotency_key: str
    access_token: str = field(repr=False)
    webhook_id: str

    @property
    def message_id(self) -> str:
        """The id of a message of its webhook."""
        return f"msg_{self.webhook_id.removeprefix('wh_')}_1"


def reaches(ours: Owner, theirs: Owner) -> Iterator[Reach]:
    """Yield every reach for each field of each method; raise on an unlisted field."""
    for method in METHODS.values():
        for name in _fields(method.input_type):
            if name in HARMLESS:
                continue
            if method.containing_service.name == "WebhookService":
                yield from _webhooks(method.name, name, ours, theirs)
            else:
                yield from _profiles(method.name, name, ours, theirs)


def _profiles(method: str, name: str, ours: Owner, theirs: Owner) -> Iterator[Reach]:
    match name:
        case "profile_key":
            for theirs_ in theirs.profiles:
                for missing in (f"prof_{random_id()}", "prof_Ill-Formed"):
                    for beside in _platforms(method):
                        yield Reach(method, name, theirs_, missing, beside)
        case "page_token":
            for to_reconnect in (False, True):
                listed = {"needsReconnectOnly": to_reconnect}
                yield Reach(method, name, theirs.token, random_id(64), listed)
        case "cursor":
            yield Reach(method, name, theirs.cursor, random_id(64), {})
        case "idempotency_key":
            yield Reach(method, name, theirs.idempotency_key, random_id(), {})
        case "rejected_access_token":
            own = {"profileKey": ours.profiles[0]}
            yield Reach(method, name, theirs.access_token, random_id(64), own)
        case _:
            raise AssertionError(f"{method}.{name}: list it in HARMLESS or as a reach")


def _webhooks(method: str, name: str, ours: Owner, theirs: Owner) -> Iterator[Reach]:
    own = {"webhookId": ours.webhook_id}
    found = {
        "webhook_id": [
            Reach(method, name, theirs.webhook_id, missing, {})
            for missing in (f"wh_{random_id()}", "wh_Ill-Formed")
        ],
        "message_id": [Reach(method, name, theirs.message_id, f"msg_{random_id()}_1", own)],
        "page_token": [Reach(method, name, theirs.token, random_id(64), own)],
    }
    yield from found[name]


def _platforms(method: str) -> Iterator[Fields]:
    """Yield further fields of a request: of one that names a platform, each of them."""
    yield {}
    if "platform" in ALSO.get(method, {}):
        yield from ({"platform": platform} for platform in ALSO_CONNECTED)


def _fields(kind: Descriptor) -> Iterator[str]:
    for one in kind.fields:
        if one.message_type:
            yield from _fields(one.message_type)
        else:
            yield one.name


def _json_name(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
