"""What the service speaks of: plain frozen values, known to every layer. Tuples, where a call makes
many: they take a quarter of the time of a frozen dataclass.

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
    """What is known of a connection; named as in the contract."""

    HEALTHY = "HEALTHY"
    UNVERIFIED = "UNVERIFIED"
    BROKEN = "BROKEN"


class ReconnectReason(StrEnum):
    """Why a connection is of no use; named as in the contract."""

    APP_PASSWORD_REVOKED = "APP_PASSWORD_REVOKED"  # noqa: S105 - a reason, no password
    ACCOUNT_TAKEN_DOWN = "ACCOUNT_TAKEN_DOWN"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    ACCOUNT_DEACTIVATED = "ACCOUNT_DEACTIVATED"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"
    SERVER_MOVED = "SERVER_MOVED"
    CREDENTIAL_UNREADABLE = "CREDENTIAL_UNREADABLE"


class EventKind(StrEnum):
    """What happens to connections; named as in the contract."""

    CONNECTED = "CONNECTED"
    RECONNECTED = "RECONNECTED"
    HEALTHY = "HEALTHY"
    UNVERIFIED = "UNVERIFIED"
    BROKEN = "BROKEN"
    RECOVERED = "RECOVERED"
    HANDLE_CHANGED = "HANDLE_CHANGED"
    DISCONNECTED = "DISCONNECTED"


class AccountStatus(StrEnum):
    """What a platform tells anybody of an account."""

    ACTIVE = "ACTIVE"
    DEACTIVATED = "DEACTIVATED"
    SUSPENDED = "SUSPENDED"
    TAKEN_DOWN = "TAKEN_DOWN"
    NOT_FOUND = "NOT_FOUND"
    UNKNOWN = "UNKNOWN"
    """The platform answers, and does not say."""


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
    """Which of a platform's servers was asked; named as the contract's PlatformUnavailableStep."""

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
    """What is kept of an API key: never the key, only an HMAC of it under a key of the keyring."""

    key_id: str
    tenant_id: str
    name: str
    scopes: frozenset[Scope]
    ring_key_id: str
    verifier: bytes = field(repr=False)
    created_at: Micros
    revoked_at: Micros | None = None


class Caller(NamedTuple):
    """Who is calling, and until when (event-loop time, in seconds) an answer is of use.

    *own_deadline*: the caller has set that limit; otherwise it is our default.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[Scope]
    deadline: float
    own_deadline: bool = False


class Credentials(dict[str, str]):
    """What a person typed, by the field's JSON name. Its repr names the fields, never a value."""

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self))})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One input of the form that a platform's credentials are asked for with."""

    name: str
    label: str
    placeholder: str = ""
    pattern: str = ""
    secret: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class PlatformCard:
    """What a caller is told of a platform: how it is joined, and the form to show for it."""

    platform: str
    display_name: str
    auth_method: AuthMethod
    fields: tuple[CredentialField, ...] = ()
    help_url: str = ""
    instructions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a platform: its lasting id (for Bluesky the DID), its name, its server."""

    account_id: str
    username: str
    origin: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a login yielded. Both tokens are secrets."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: Micros


@dataclass(frozen=True, slots=True)
class Login:
    """A proven login: whose, with which session, and the secret that would prove it again."""

    account: Account
    session: Session
    secret: str = field(repr=False)
    pause_until: Micros | None = None
    """Until when the platform wants no further login of this account, if it said so."""
    reported_username: str = ""
    """The name that the platform's answer gives the account, if any. It is not proved."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A session's next pair of tokens; of an account that is not active, its status."""

    session: Session
    inactive_status: str = ""
    reported_username: str = ""
    """The name that the platform's answer gives the account, if any. It is not proved."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The reply to a connect."""

    profile_key: str
    platform: str
    username: str


class Connection(NamedTuple):
    """A profile's account on a platform, and how well its credential still is."""

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
        """Whether it was proved to be of no use; an outage since then does not unprove it."""
        return self.reconnect_reason is not None


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """What happened to a connection, by its number among the tenant's events.

    Of a profile that was deleted since, no connection and no time are told.
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
    """A place in the list of a tenant's profiles: right after the profile of this time and key."""

    created_at: Micros
    profile_key: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A session on loan: its access token, and where it is good."""

    access_token: str = field(repr=False)
    account: Account
    expires_at: Micros
