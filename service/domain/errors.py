"""The errors that a call can end with: one flat family.

    ServiceError
    ├── InvalidCredentials      rejected by the platform, or malformed
    ├── ProfileNotFound         absent, malformed, or another tenant's: the error is the same
    ├── UseGetForOAuth          the platform is connected by OAuth, elsewhere
    ├── MissingApiKey · InvalidApiKey · InsufficientScope
    ├── UnsupportedPlatform · InvalidRequest
    ├── ProfileAlreadyExists    the profile is connected to a different account there
    ├── IdempotencyKeyReused · PlatformNotConnected · NeedsReconnect · AccountInactive
    ├── CursorExpired · ConnectLinkNotFound · WebhookNotFound · WebhookLimitReached
    ├── RateLimitExceeded · PlatformRateLimited
    ├── PlatformUnavailable     the platform's answer proves nothing
    ├── ServiceUnavailable      our own store is unavailable
    ├── DeadlineExceeded · NotImplementedYet · InternalError
    └── OAuthNotAvailable · PathNotFound · MethodNotAllowed · PayloadTooLarge ·
        UnsupportedMediaType    (over HTTP only)

transport/status.py has the only table of the statuses that they become.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from service.domain.model import (
    InvalidCredentialsCause,
    Micros,
    PlatformCard,
    PlatformUnavailableCause,
    PlatformUnavailableStep,
)


@dataclass(frozen=True, slots=True)
class Field:
    """An invalid field of a request: its path in the contract's names, and the fault."""

    path: str
    fault: str


class ServiceError(Exception):
    """An error for the caller: a message for people and metadata for programs, without secrets.

    *retry_after* is in seconds; None if waiting does not help. *why* is one word for the log; it is
    never sent. `args` stay the constructor's arguments, as `copy.copy` needs them.
    """

    fields: tuple[Field, ...] = ()
    help_url = ""
    pause_until: Micros | None = None
    """When the platform accepts the next login of this account, if it rejected one and said so."""

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        why: str = "",
    ) -> None:
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.why = why

    def __str__(self) -> str:
        return self.message


class InvalidCredentials(ServiceError):
    """*redirects_to*: the address that the site names as its own, if it is another one."""

    def __init__(
        self, card: PlatformCard, cause: InvalidCredentialsCause, *, redirects_to: str = ""
    ) -> None:
        super().__init__(
            f"Invalid {card.display_name} credentials",
            metadata={"platform": card.platform, "cause": cause.value},
            why=cause.value.lower(),
        )
        if redirects_to:
            self.metadata["redirectsTo"] = redirects_to
        self.cause = cause
        self.help_url = card.help_url

    @classmethod
    def malformed(cls, card: PlatformCard, name: str) -> Self:
        """Return the error for a malformed value of the field with the JSON name *name*."""
        field = card.field(name)
        error = cls(card, field.malformed)
        path = f"credentials.{snake_case(name)}"
        error.fields = (Field(path, field.fault),)
        if field.malformed is InvalidCredentialsCause.MALFORMED_FIELD:
            error.metadata["field"] = camel_case(path)
        return error


class ProfileNotFound(ServiceError):
    def __init__(self) -> None:
        super().__init__("Profile not found")


class UseGetForOAuth(ServiceError):
    def __init__(self, platform: str) -> None:
        super().__init__(
            f"{platform} requires OAuth. Use GET /profiles/connect?platform={platform}"
            "&apiKey=YOUR_KEY&returnUrl=YOUR_URL",
            metadata={"platform": platform},
        )


class MissingApiKey(ServiceError):
    def __init__(self) -> None:
        super().__init__("API key is required in x-api-key header")


class InvalidApiKey(ServiceError):
    def __init__(self) -> None:
        super().__init__("Invalid API key")


class InsufficientScope(ServiceError):
    def __init__(self, required: str) -> None:
        super().__init__(
            f"This API key lacks the scope {required}", metadata={"requiredScope": required}
        )


class UnsupportedPlatform(ServiceError):
    def __init__(self, platform: str, supported: str) -> None:
        super().__init__(
            f"Unsupported platform {platform!r}; supported: {supported}",
            metadata={"platform": platform, "supported": supported},
        )


class InvalidRequest(ServiceError):
    """*path*: the field's path in the contract's names; empty if the fault has no single field."""

    def __init__(self, path: str, fault: str) -> None:
        spoken = camel_case(path) or "The request"
        super().__init__(
            f"{spoken} {fault}", metadata={"field": camel_case(path)} if path else None
        )
        self.fields = (Field(path, fault),)


class ProfileAlreadyExists(ServiceError):
    def __init__(self, platform: str) -> None:
        super().__init__(
            "Profile for this platform already exists", metadata={"platform": platform}
        )


class IdempotencyKeyReused(ServiceError):
    def __init__(self) -> None:
        super().__init__("This idempotency key was used with another request")


class PlatformNotConnected(ServiceError):
    def __init__(self, platform: str) -> None:
        super().__init__(
            "The profile is not connected to this platform", metadata={"platform": platform}
        )


class NeedsReconnect(ServiceError):
    def __init__(self, platform: str, reconnect_reason: str) -> None:
        super().__init__(
            "The connection needs to be made again",
            metadata={"platform": platform, "reconnectReason": reconnect_reason},
        )


class AccountInactive(ServiceError):
    def __init__(self, platform: str, status: str) -> None:
        super().__init__(
            "The account is not active",
            metadata={"platform": platform, "status": status},
            why=status,
        )


class ConnectLinkNotFound(ServiceError):
    def __init__(self) -> None:
        super().__init__("There is no such link, or it has ended")


class CursorExpired(ServiceError):
    def __init__(self) -> None:
        super().__init__("The cursor is older than the events that are kept")


class WebhookNotFound(ServiceError):
    def __init__(self) -> None:
        super().__init__("Webhook not found")


class WebhookLimitReached(ServiceError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"A tenant has at most {limit} webhooks", metadata={"limit": str(limit)})


class RateLimitExceeded(ServiceError):
    def __init__(self, retry_after: float) -> None:
        super().__init__("Too many requests", retry_after=retry_after)


class PlatformRateLimited(ServiceError):
    def __init__(self, platform: str, display_name: str, retry_after: float) -> None:
        super().__init__(
            f"{display_name} allows no more requests for now",
            metadata={"platform": platform},
            retry_after=retry_after,
        )


class PlatformUnavailable(ServiceError):
    """The platform's answer proves nothing.

    *http_status*: the status that was not expected, if that is the fault.
    """

    def __init__(
        self,
        cause: PlatformUnavailableCause,
        why: str,
        *,
        retry_after: float | None = 30,
        http_status: int | None = None,
    ) -> None:
        super().__init__("", retry_after=retry_after, why=why)
        self.cause = cause
        self.step: PlatformUnavailableStep | None = None
        self.http_status = http_status
        self._describe()

    def at(self, step: PlatformUnavailableStep) -> Self:
        """Set the step that failed, unless one is set; return this error."""
        if self.step is None:
            self.step = step
            self._describe()
        return self

    def _describe(self) -> None:
        self.metadata = {"cause": self.cause.value}
        if self.step is not None:
            self.metadata["step"] = self.step.value
        if self.http_status is not None:
            self.metadata["httpStatus"] = str(self.http_status)
        said = CAUSES[self.cause].format(server=SERVERS[self.step], status=self.http_status)
        self.message = f"{said[0].upper()}{said[1:]}. This proves nothing about the credentials."


CAUSES: Mapping[PlatformUnavailableCause, str] = {
    PlatformUnavailableCause.DNS_FAILURE: "the name servers gave no usable answer about {server}",
    PlatformUnavailableCause.SERVER_UNREACHABLE: (
        "no connection to {server} could be made, or it was lost"
    ),
    PlatformUnavailableCause.TLS_FAILURE: (
        "no secure connection to {server} could be made: its TLS certificate or configuration is "
        "not valid"
    ),
    PlatformUnavailableCause.ADDRESS_NOT_ALLOWED: (
        "the address of {server} cannot be used: it must be a public name that exists, with https "
        "on port 443"
    ),
    PlatformUnavailableCause.UNEXPECTED_ANSWER: (
        "the answer of {server} does not follow the protocol"
    ),
    PlatformUnavailableCause.SERVER_ERROR: "{server} reports an error of its own (HTTP {status})",
    PlatformUnavailableCause.TIMEOUT: "{server} did not answer in time",
    PlatformUnavailableCause.BUSY: (
        "{server} asks to wait, or this service has too many requests to it in progress"
    ),
    PlatformUnavailableCause.SERVER_CHANGED: (
        "the account's server has changed; whether this is final is known 10 minutes after it was "
        "first seen"
    ),
}
SERVERS: Mapping[PlatformUnavailableStep | None, str] = {
    None: "the platform's server",
    PlatformUnavailableStep.HANDLE: "the handle's domain",
    PlatformUnavailableStep.DOCUMENT: "the directory that holds the account's document",
    PlatformUnavailableStep.SERVER: "the account's server",
}


class ServiceUnavailable(ServiceError):
    def __init__(self, why: str = "store") -> None:
        super().__init__("The service is not available just now", retry_after=1, why=why)


class DeadlineExceeded(ServiceError):
    def __init__(self) -> None:
        super().__init__("The call took longer than its deadline")


class NotImplementedYet(ServiceError):
    def __init__(self) -> None:
        super().__init__("This method is not implemented yet")


class OAuthNotAvailable(ServiceError):
    def __init__(self) -> None:
        super().__init__("OAuth platforms are connected elsewhere, not at this service")


class PathNotFound(ServiceError):
    def __init__(self) -> None:
        super().__init__("There is no such path here")


class MethodNotAllowed(ServiceError):
    def __init__(self) -> None:
        super().__init__("This path does not answer that method")


class PayloadTooLarge(ServiceError):
    def __init__(self) -> None:
        super().__init__("The request's body is longer than 64 KiB")


class UnsupportedMediaType(ServiceError):
    def __init__(self) -> None:
        super().__init__("The request's body must be application/json, in UTF-8, not compressed")


class InternalError(ServiceError):
    def __init__(self) -> None:
        super().__init__("internal error")


def snake_case(name: str) -> str:
    """Return a JSON name in the contract's spelling: `appPassword` as `app_password`."""
    return re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


def camel_case(path: str) -> str:
    """Return *path* in JSON names: `credentials.app_password` as `credentials.appPassword`."""
    head, *rest = path.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)
