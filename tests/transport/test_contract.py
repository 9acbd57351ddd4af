"""The contract and its implementation match."""

import inspect
import json

import pytest
from google.protobuf.json_format import MessageToDict

from postcore.profiles.v1 import error_reason_pb2, platform_service_pb2, profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import webhook_service_pb2 as pb_webhooks
from service.domain import errors, model, webhooks
from service.domain.errors import ServiceError
from service.transport.servicers import (
    SCOPES,
    SERVICES,
    PlatformServicer,
    ProfileServicer,
    SessionServicer,
)
from service.transport.status import STATUS
from service.transport.webhooks import WebhookServicer
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed


def test_every_error_has_a_status_and_every_reason_an_error() -> None:
    """The table is total in both directions, and each reason occurs once."""
    family = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, ServiceError) and kind is not ServiceError
    }
    assert STATUS.keys() == family
    reasons = [status.reason for status in STATUS.values()]
    assert sorted(reasons) == sorted(set(error_reason_pb2.ErrorReason.values()) - {0})


def test_errors_are_a_flat_family() -> None:
    """There is one level of subclasses, so a look-up by type finds every error."""
    for kind in STATUS:
        assert kind.__bases__ == (ServiceError,)


def test_every_method_has_a_scope_and_a_servicer() -> None:
    """Each is implemented in its kind, and has a rule on which keys may call it."""
    methods = [method.name for service in SERVICES for method in service.methods]
    assert sorted(methods) == sorted(SCOPES)
    for service, servicer in zip(
        SERVICES,
        (ProfileServicer, PlatformServicer, SessionServicer, WebhookServicer),
        strict=True,
    ):
        for method in service.methods:
            is_one = (
                inspect.isasyncgenfunction
                if method.server_streaming
                else inspect.iscoroutinefunction
            )
            assert is_one(getattr(servicer, method.name))


@pytest.mark.parametrize(
    ("ours", "contract", "prefix"),
    [
        (model.ConnectionState, profile_pb2.ConnectionState, "CONNECTION_STATE_"),
        (
            model.InvalidCredentialsCause,
            error_reason_pb2.InvalidCredentialsCause,
            "INVALID_CREDENTIALS_CAUSE_",
        ),
        (
            model.PlatformUnavailableCause,
            error_reason_pb2.PlatformUnavailableCause,
            "PLATFORM_UNAVAILABLE_CAUSE_",
        ),
        (
            model.PlatformUnavailableStep,
            error_reason_pb2.PlatformUnavailableStep,
            "PLATFORM_UNAVAILABLE_STEP_",
        ),
        (webhooks.DisabledReason, pb_webhooks.WebhookDisabledReason, "WEBHOOK_DISABLED_REASON_"),
        (model.AuthMethod, platform_service_pb2.AuthMethod, "AUTH_METHOD_"),
    ],
)
def test_names_are_the_contracts(ours: type, contract: object, prefix: str) -> None:
    """Text values that are sent have the contract's names."""
    names = {name.removeprefix(prefix) for name in contract.keys()}  # type: ignore[attr-defined]  # noqa: SIM118
    assert {member.value for member in ours} == names - {"UNSPECIFIED"}  # type: ignore[attr-defined]


def test_secrets_are_marked() -> None:
    """Each field that holds a secret has debug_redact set."""
    marked = {
        field.full_name.removeprefix("postcore.profiles.v1.")
        for service in SERVICES
        for message in service.file.message_types_by_name.values()
        for field in message.fields
        if field.GetOptions().debug_redact
    }
    assert marked == {
        "CreateWebhookRequest.secret",
        "CreateWebhookResponse.secret",
        "CreateConnectLinkResponse.url",
        "Credentials.access_token",
        "Credentials.api_key",
        "Credentials.app_password",
        "LeaseSessionRequest.rejected_access_token",
        "LeaseSessionResponse.access_token",
        "LeaseSessionResponse.authorization",
        "RotateWebhookSecretResponse.secret",
    }


def test_the_reply_is_the_specifications_in_json() -> None:
    """It has "profileKey", "platform" and "username" only."""
    reply = pb.ConnectProfileResponse(
        profile_key="prof_abc123", platform="bluesky", username="user.bsky.social"
    )
    assert MessageToDict(reply, always_print_fields_with_no_presence=True) == {
        "profileKey": "prof_abc123",
        "platform": "bluesky",
        "username": "user.bsky.social",
    }


async def test_platforms_are_listed_with_their_forms(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """Bluesky's form is what ConnectProfile accepts; OAuth platforms are listed as such."""
    reply = await sandboxed.platforms.ListPlatforms(
        platform_service_pb2.ListPlatformsRequest(), metadata=sandboxed.metadata()
    )
    methods = {platform.id: platform.auth_method for platform in reply.platforms}
    assert methods == {
        "bluesky": platform_service_pb2.AUTH_METHOD_CREDENTIALS,
        "facebook": platform_service_pb2.AUTH_METHOD_OAUTH,
        "ghost": platform_service_pb2.AUTH_METHOD_CREDENTIALS,
        "instagram": platform_service_pb2.AUTH_METHOD_OAUTH,
        "linkedin": platform_service_pb2.AUTH_METHOD_OAUTH,
        "mastodon": platform_service_pb2.AUTH_METHOD_CREDENTIALS,
        "twitter": platform_service_pb2.AUTH_METHOD_OAUTH,
        "wordpress": platform_service_pb2.AUTH_METHOD_CREDENTIALS,
    }
    assert list(methods) == sorted(methods)
    bluesky = reply.platforms[0]
    assert bluesky.help_url == "https://bsky.app/settings/app-passwords"
    assert len(bluesky.instructions) == 5
    handle, app_password = bluesky.fields
    assert app_password.placeholder == "xxxx-xxxx-xxxx-xxxx"
    assert (handle.secret, app_password.secret) == (False, True)
    json_names = {field.json_name for field in pb.Credentials.DESCRIPTOR.fields}
    assert {handle.name, app_password.name} <= json_names


def test_patterns_match_the_same_in_javascript_and_python() -> None:
    """The forms' patterns accept their placeholders and reject common mistakes."""
    import re

    from service.platforms.bluesky.card import CARD

    handle, app_password = (re.compile(field.pattern) for field in CARD.fields)
    assert handle.fullmatch("user.bsky.social")
    assert not handle.fullmatch("alice")
    assert app_password.fullmatch("abcd-efgh-ijkl-mnop")
    assert not app_password.fullmatch("abcdefghijklmnop")
    for field in CARD.fields:
        assert field.pattern.startswith("^")
        assert field.pattern.endswith("$")
        assert "(?" not in field.pattern
        assert json.loads(json.dumps(field.pattern)) == field.pattern
