"""The values of the domain: frozen, and known to every layer.

Values that a call makes many of are tuples, which take a quarter of the time of a frozen dataclass.
Times are whole microseconds since the Unix epoch, in UTC.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

Micros = int
SECOND: Micros = 1_000_000
DAY: Micros = 24 * 3600 * SECOND


class Scope(StrEnum):
    """What an API key may do."""

    PROFILES_READ = "profiles:read"
    PROFILES_WRITE = "profiles:write"
    SESSIONS_LEASE = "sessions:lease"


DEFAULT_SCOPES = frozenset({Scope.PROFILES_READ, Scope.PROFILES_WRITE})


class AuthMethod(StrEnum):
    """How an account's owner joins a platform."""

    CREDENTIALS = "CREDENTIALS"
    OAUTH = "OAUTH"


class ConnectionState(StrEnum):
    """The verdict on a connection; named as in the contract."""

    HEALTHY = "HEALTHY"
    UNVERIFIED = "UNVERIFIED"
    BROKEN = "BROKEN"


class ReconnectReason(StrEnum):
    """Why a connection does not work; named as in the contract."""

    APP_PASSWORD_REVOKED = "APP_PASSWORD_REVOKED"  # noqa: S105 - a reason, no password
    ACCOUNT_TAKEN_DOWN = "ACCOUNT_TAKEN_DOWN"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    ACCOUNT_DEACTIVATED = "ACCOUNT_DEACTIVATED"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"
    SERVER_MOVED = "SERVER_MOVED"
    CREDENTIAL_UNREADABLE = "CREDENTIAL_UNREADABLE"


class EventKind(StrEnum):
    """Kinds of events; named as in the contract."""

    CONNECTED = "CONNECTED"
    RECONNECTED = "RECONNECTED"
    HEALTHY = "HEALTHY"
    UNVERIFIED = "UNVERIFIED"
    BROKEN = "BROKEN"
    RECOVERED = "RECOVERED"
    HANDLE_CHANGED = "HANDLE_CHANGED"
    DISCONNECTED = "DISCONNECTED"


class AccountStatus(StrEnum):
    """The public status of an account, as its platform reports it."""

    ACTIVE = "ACTIVE"
    DEACTIVATED = "DEACTIVATED"
    SUSPENDED = "SUSPENDED"
    TAKEN_DOWN = "TAKEN_DOWN"
    NOT_FOUND = "NOT_FOUND"
    UNKNOWN = "UNKNOWN"
    """The platform answered, but gave no status."""


class InvalidCredentialsCause(StrEnum):
    """Why credentials were refused; named as the contract's InvalidCredentialsCause."""

    MALFORMED_HANDLE = "MALFORMED_HANDLE"
    MALFORMED_APP_PASSWORD = "MALFORMED_APP_PASSWORD"  # noqa: S105 - a reason, no password
    HANDLE_NOT_FOUND = "HANDLE_NOT_FOUND"
    MAIN_PASSWORD = "MAIN_PASSWORD"  # noqa: S105 - a reason, no password
    REJECTED_BY_PLATFORM = "REJECTED_BY_PLATFORM"


class PlatformUnavailableCause(StrEnum):
    """Why a platform's answer proves nothing; named as the contract's PlatformUnavailableCause."""

    DNS_FAILURE = "DNS_FAILURE"
    SERVER_UNREACHABLE = "SERVER_UNREACHABLE"
    TLS_FAILURE = "TLS_FAILURE"
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED"
    UNEXPECTED_ANSWER = "UNEXPECTED_ANSWER"
    SERVER_ERROR = "SERVER_ERROR"
    TIMEOUT = "TIMEOUT"
    BUSY = "BUSY"
    SERVER_CHANGED = "SERVER_CHANGED"


class PlatformUnavailableStep(StrEnum):
    """Which of a platform's servers failed; named as the contract's PlatformUnavailableStep."""

    HANDLE = "HANDLE"
    DOCUMENT = "DOCUMENT"
    SERVER = "SERVER"


@dataclass(frozen=True, slots=True)
class Tenant:
    """An owner of profiles, found by API key."""

    tenant_id: str
    name: str
    created_at: Micros


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored part of an API key: an HMAC under a key of the keyring, never the key itself."""

    key_id: str
    tenant_id: str
    name: str
    scopes: frozenset[Scope]
    ring_key_id: str
    verifier: bytes = field(repr=False)
    created_at: Micros
    revoked_at: Micros | None = None


class Caller(NamedTuple):
    """An authenticated caller. *deadline*: of the call, in seconds of event-loop time.

    *has_own_deadline*: whether the caller set the deadline; otherwise it is our default.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[Scope]
    deadline: float
    has_own_deadline: bool = False


class Credentials(dict[str, str]):
    """Credentials as typed, by the field's JSON name. Its repr shows names, never values."""

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self))})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One input of the form for a platform's credentials."""

    name: str
    label: str
    placeholder: str = ""
    pattern: str = ""
    secret: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class PlatformCard:
    """A platform as callers see it: how accounts join it, and the form for their credentials."""

    platform: str
    display_name: str
    auth_method: AuthMethod
    fields: tuple[CredentialField, ...] = ()
    help_url: str = ""
    instructions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a platform: its permanent id (for Bluesky the DID), its name, its server."""

    account_id: str
    username: str
    origin: str


@dataclass(frozen=True, slots=True)
class Session:
    """The tokens of a login. Both are secrets."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: Micros


@dataclass(frozen=True, slots=True)
class Login:
    """A successful login: its account, its session, and the secret for another login."""

    account: Account
    session: Session
    secret: str = field(repr=False)
    pause_until: Micros | None = None
    """Until when the platform accepts no further login of this account, if it said so."""
    reported_username: str = ""
    """The account's name in the platform's answer, if any. Not proved."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A session's next tokens. *inactive_status*: the account's status, empty if it is active."""

    session: Session
    inactive_status: str = ""
    reported_username: str = ""
    """The account's name in the platform's answer, if any. Not proved."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The reply to a connect."""

    profile_key: str
    platform: str
    username: str


class Connection(NamedTuple):
    """A profile's account on a platform, with the last verdict on it."""

    platform: str
    account_id: str
    username: str
    display_name: str
    state: ConnectionState
    reconnect_reason: ReconnectReason | None
    connected_at: Micros
    last_verified_at: Micros
    next_check_at: Micros | None

    @property
    def needs_reconnect(self) -> bool:
        """Whether it was proved not to work. A later outage does not change that."""
        return self.reconnect_reason is not None


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """A change to a connection. *number* counts the tenant's events.

    *connection* and *occurred_at* are None if the profile was deleted since.
    """

    number: int
    kind: EventKind
    profile_key: str
    connection: Connection | None
    occurred_at: Micros | None


class Profile(NamedTuple):
    """A tenant's profile with its connections, in order of platform."""

    profile_key: str
    profile_name: str | None
    created_at: Micros
    connections: tuple[Connection, ...] = ()


@dataclass(frozen=True, slots=True)
class Created:
    """The reply to a create."""

    profile_key: str
    profile_name: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the list of a tenant's profiles: after the profile of this time and key."""

    created_at: Micros
    profile_key: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A leased session: its access token, and the account and server that it is valid for."""

    access_token: str = field(repr=False)
    account: Account
    expires_at: Micros
