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
NEVER: Micros = 253_402_300_799 * SECOND
"""The end of the year 9999: the latest time that a protobuf Timestamp holds."""


class Scope(StrEnum):
    """What an API key may do."""

    PROFILES_READ = "profiles:read"
    PROFILES_WRITE = "profiles:write"
    SESSIONS_LEASE = "sessions:lease"
    CREDENTIALS_LEASE = "credentials:lease"
    """To lease the credential itself, of a platform without sessions."""
    WEBHOOKS_WRITE = "webhooks:write"
    """To read webhooks as well: a URL may hold a secret of its receiver."""


DEFAULT_SCOPES = frozenset({Scope.PROFILES_READ, Scope.PROFILES_WRITE})


class AuthMethod(StrEnum):
    """How an account's owner joins a platform."""

    CREDENTIALS = "CREDENTIALS"
    OAUTH = "OAUTH"


class Lent(StrEnum):
    """What is lent of a connection; named as in the contract."""

    SESSION = "SESSION"
    CREDENTIAL = "CREDENTIAL"


class FieldKind(StrEnum):
    """What a field of a form holds; named as in the contract."""

    TEXT = "TEXT"
    HANDLE = "HANDLE"
    URL = "URL"
    USERNAME = "USERNAME"
    SECRET = "SECRET"  # noqa: S105 - a kind, no secret


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
    CREDENTIALS_SWITCHED_OFF = "CREDENTIALS_SWITCHED_OFF"
    PERMISSION_LOST = "PERMISSION_LOST"


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
    SWITCHED_OFF = "SWITCHED_OFF"
    """The server accepts no credentials of this kind."""
    UNKNOWN = "UNKNOWN"
    """The platform answered, but gave no status."""


class InvalidCredentialsCause(StrEnum):
    """Why credentials were refused; named as the contract's InvalidCredentialsCause."""

    MALFORMED_HANDLE = "MALFORMED_HANDLE"
    MALFORMED_APP_PASSWORD = "MALFORMED_APP_PASSWORD"  # noqa: S105 - a reason, no password
    HANDLE_NOT_FOUND = "HANDLE_NOT_FOUND"
    MAIN_PASSWORD = "MAIN_PASSWORD"  # noqa: S105 - a reason, no password
    REJECTED_BY_PLATFORM = "REJECTED_BY_PLATFORM"
    MALFORMED_FIELD = "MALFORMED_FIELD"
    SITE_NOT_FOUND = "SITE_NOT_FOUND"
    SWITCHED_OFF = "SWITCHED_OFF"
    NOT_PERMITTED = "NOT_PERMITTED"


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
    """An authenticated caller.

    *platform_deadline*: until when platforms may answer, in seconds of event-loop time.
    *has_own_deadline*: whether the caller set the deadline; otherwise it is our default.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[Scope]
    platform_deadline: float
    has_own_deadline: bool = False


class Credentials(dict[str, str]):
    """Credentials as typed, by the field's JSON name. Its repr shows names, never values."""

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self))})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One input of the form for a platform's credentials.

    *fault*: the error message for a malformed value, such as "is not a full handle"; *malformed*:
    its cause.
    """

    name: str
    label: str
    placeholder: str = ""
    pattern: str = ""
    kind: FieldKind = FieldKind.TEXT
    help: str = ""
    fault: str = "is malformed"
    malformed: InvalidCredentialsCause = InvalidCredentialsCause.MALFORMED_FIELD

    @property
    def secret(self) -> bool:
        return self.kind is FieldKind.SECRET


@dataclass(frozen=True, slots=True)
class PlatformCard:
    """A platform: how accounts join it, the form for their credentials, and its numbers.

    *refusals_for_proof*: how many rejected logins in a row, at least *refusal_interval*
    microseconds apart, prove that a credential was revoked. The waits after a rejection (1, 6 and
    24 hours) apply as well; the interval is a day at most. *max_logins*: the platform's own limits
    on the logins of one account, in five minutes and in a day; the settings may set lower ones.
    *max_rejections*: how many logins of connects one site may reject in an hour, of all accounts;
    then it may lock out this service's address. 0: there is no such limit.
    *min_lease_left*: a session with less time left, in microseconds, is renewed before it is lent.
    """

    platform: str
    display_name: str
    auth_method: AuthMethod
    fields: tuple[CredentialField, ...] = ()
    help_url: str = ""
    instructions: tuple[str, ...] = ()
    lends: Lent = Lent.SESSION
    refusals_for_proof: int = 1
    refusal_interval: Micros = 3600 * SECOND
    max_logins: tuple[int, int] | None = None
    max_rejections: int = 0
    min_lease_left: Micros = 600 * SECOND

    def __post_init__(self) -> None:
        if self.refusal_interval > DAY:
            raise ValueError("the interval of refusals is a day at most")

    def field(self, name: str) -> CredentialField:
        """Return the field of that JSON name; raise KeyError if there is none."""
        for each in self.fields:
            if each.name == name:
                return each
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a platform: its permanent id, its name, its server.

    *is_provisional*: the id stands for the account until a login returns the permanent one.
    """

    account_id: str
    username: str
    origin: str
    is_provisional: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """The tokens of a login. Both are secrets.

    Of a platform without sessions, the credential, with an *expires_at* of NEVER.
    """

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
    display_name: str = ""
    """The account's display name, if the login returned it."""


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
    """What is lent: an access token, and the account and API that it is valid for.

    *expires_at* None: it does not end by itself.
    """

    access_token: str = field(repr=False)
    authorization: str = field(repr=False)
    account: Account
    endpoint: str
    expires_at: Micros | None
    lent: Lent = Lent.SESSION
