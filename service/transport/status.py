"""Status: the one table that maps each error to its status over gRPC and HTTP."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from postcore.profiles.v1 import error_reason_pb2 as reasons
from service.domain import errors
from service.domain.errors import ServiceError

DOMAIN = "profiles.postcore.dev"
Code = grpc.StatusCode


@dataclass(frozen=True, slots=True)
class Status:
    """The gRPC code, HTTP status and contract reason of an error.

    *no_retry*: clients are asked not to retry automatically, since each attempt may cost a login.
    *has_retry_after*: the HTTP body gives the seconds to wait in `retry_after`.
    """

    code: grpc.StatusCode
    http: int
    reason: reasons.ErrorReason
    no_retry: bool = False
    has_retry_after: bool = False

    @property
    def name(self) -> str:
        """Return the reason as callers see it."""
        full: str = reasons.ErrorReason.Name(self.reason)
        return full.removeprefix("ERROR_REASON_")


STATUS: Mapping[type[ServiceError], Status] = MappingProxyType(
    {
        errors.InvalidCredentials: Status(
            Code.UNAUTHENTICATED, 401, reasons.ERROR_REASON_INVALID_CREDENTIALS
        ),
        errors.ProfileNotFound: Status(Code.NOT_FOUND, 404, reasons.ERROR_REASON_PROFILE_NOT_FOUND),
        errors.UseGetForOAuth: Status(
            Code.INVALID_ARGUMENT, 400, reasons.ERROR_REASON_USE_GET_FOR_OAUTH
        ),
        errors.MissingApiKey: Status(
            Code.UNAUTHENTICATED, 401, reasons.ERROR_REASON_MISSING_API_KEY
        ),
        errors.InvalidApiKey: Status(
            Code.UNAUTHENTICATED, 401, reasons.ERROR_REASON_INVALID_API_KEY
        ),
        errors.InsufficientScope: Status(
            Code.PERMISSION_DENIED, 403, reasons.ERROR_REASON_INSUFFICIENT_SCOPE
        ),
        errors.UnsupportedPlatform: Status(
            Code.INVALID_ARGUMENT, 400, reasons.ERROR_REASON_UNSUPPORTED_PLATFORM
        ),
        errors.InvalidRequest: Status(
            Code.INVALID_ARGUMENT, 400, reasons.ERROR_REASON_INVALID_REQUEST
        ),
        errors.ProfileAlreadyExists: Status(
            Code.ALREADY_EXISTS, 400, reasons.ERROR_REASON_PROFILE_ALREADY_EXISTS
        ),
        errors.IdempotencyKeyReused: Status(
            Code.INVALID_ARGUMENT, 400, reasons.ERROR_REASON_IDEMPOTENCY_KEY_REUSED
        ),
        errors.PlatformNotConnected: Status(
            Code.NOT_FOUND, 404, reasons.ERROR_REASON_PLATFORM_NOT_CONNECTED
        ),
        errors.NeedsReconnect: Status(
            Code.FAILED_PRECONDITION, 400, reasons.ERROR_REASON_NEEDS_RECONNECT
        ),
        errors.AccountInactive: Status(
            Code.FAILED_PRECONDITION, 400, reasons.ERROR_REASON_ACCOUNT_INACTIVE
        ),
        errors.ConnectLinkNotFound: Status(
            Code.NOT_FOUND, 404, reasons.ERROR_REASON_CONNECT_LINK_NOT_FOUND
        ),
        errors.CursorExpired: Status(Code.OUT_OF_RANGE, 400, reasons.ERROR_REASON_CURSOR_EXPIRED),
        errors.RateLimitExceeded: Status(
            Code.RESOURCE_EXHAUSTED,
            429,
            reasons.ERROR_REASON_RATE_LIMIT_EXCEEDED,
            has_retry_after=True,
        ),
        errors.PlatformRateLimited: Status(
            Code.RESOURCE_EXHAUSTED, 429, reasons.ERROR_REASON_PLATFORM_RATE_LIMITED
        ),
        errors.PlatformUnavailable: Status(
            Code.UNAVAILABLE, 503, reasons.ERROR_REASON_PLATFORM_UNAVAILABLE, no_retry=True
        ),
        errors.ServiceUnavailable: Status(
            Code.UNAVAILABLE, 503, reasons.ERROR_REASON_SERVICE_UNAVAILABLE
        ),
        errors.DeadlineExceeded: Status(
            Code.DEADLINE_EXCEEDED, 504, reasons.ERROR_REASON_DEADLINE_EXCEEDED
        ),
        errors.NotImplementedYet: Status(
            Code.UNIMPLEMENTED, 501, reasons.ERROR_REASON_NOT_IMPLEMENTED
        ),
        errors.OAuthNotAvailable: Status(
            Code.UNIMPLEMENTED, 501, reasons.ERROR_REASON_OAUTH_NOT_AVAILABLE
        ),
        errors.PathNotFound: Status(Code.UNIMPLEMENTED, 404, reasons.ERROR_REASON_PATH_NOT_FOUND),
        errors.MethodNotAllowed: Status(
            Code.UNIMPLEMENTED, 405, reasons.ERROR_REASON_METHOD_NOT_ALLOWED
        ),
        errors.PayloadTooLarge: Status(
            Code.RESOURCE_EXHAUSTED, 413, reasons.ERROR_REASON_PAYLOAD_TOO_LARGE
        ),
        errors.UnsupportedMediaType: Status(
            Code.INVALID_ARGUMENT, 415, reasons.ERROR_REASON_UNSUPPORTED_MEDIA_TYPE
        ),
        errors.WebhookNotFound: Status(Code.NOT_FOUND, 404, reasons.ERROR_REASON_WEBHOOK_NOT_FOUND),
        errors.WebhookLimitReached: Status(
            Code.FAILED_PRECONDITION, 400, reasons.ERROR_REASON_WEBHOOK_LIMIT_REACHED
        ),
        errors.InternalError: Status(Code.INTERNAL, 500, reasons.ERROR_REASON_INTERNAL),
    }
)


CONSTANT = frozenset({errors.MissingApiKey, errors.InvalidApiKey, errors.NotImplementedYet})
"""Errors without variable parts. They are encoded once, since callers without a key can cause any
number of them."""


def seconds_to_wait(error: ServiceError) -> int | None:
    """Return after how many whole seconds, at least 1, a retry may succeed; None if waiting does
    not help."""
    return None if error.retry_after is None else max(1, math.ceil(error.retry_after))


def rich_status(error: ServiceError) -> grpc.Status:
    """Return *error* as a google.rpc.Status with its details, encoded for grpc."""
    kind = type(error)
    if kind not in CONSTANT:
        return _rich_status(error)
    if kind not in _cache:
        _cache[kind] = _rich_status(error)
    return _cache[kind]


_cache: dict[type[ServiceError], grpc.Status] = {}


def _rich_status(error: ServiceError) -> grpc.Status:
    status = STATUS[type(error)]
    encoded: grpc.Status = rpc_status.to_status(
        status_pb2.Status(
            code=status.code.value[0],
            message=error.message,
            details=[_packed(detail) for detail in _details(error, status)],
        )
    )
    return encoded


def _details(error: ServiceError, status: Status) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=status.name, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field.path, description=field.fault)
            for field in error.fields
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if (seconds := seconds_to_wait(error)) is not None:
        delay = Duration(seconds=seconds)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.help_url:
        link = error_details_pb2.Help.Link(description="Make an app password", url=error.help_url)
        details.append(error_details_pb2.Help(links=[link]))
    return details


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
