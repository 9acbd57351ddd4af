"""Records that the store keeps or returns. Tuples, as in the model, where a call makes many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from service.domain.model import SECOND, Connection, EventKind, Micros

MAX_CLAIM_SKEW: Micros = 60 * SECOND
"""How far ahead the clock of a claim's holder may be. A claim that ends later than that was made
before the clock was set back."""

ConnectionKey = tuple[str, str, str, int]
"""Tenant, profile, platform and generation."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A sealed secret, and the id of the keyring's key that wraps it."""

    ring_key_id: str
    envelope: bytes = field(repr=False)


class SecretAddress(NamedTuple):
    """Where a sealed secret belongs. It opens at this address only."""

    tenant_id: str
    profile_key: str
    platform: str
    account_id: str
    origin: str
    generation: int

    @property
    def key(self) -> "ConnectionKey":
        """The address without the account and its server: one login to the connection."""
        return self.tenant_id, self.profile_key, self.platform, self.generation


class Purpose(StrEnum):
    """What a sealed secret is for. Part of what it is bound to."""

    CREDENTIAL = "credential"
    SESSION = "session"
    CANARY = "canary"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """An HMAC over a request, under one of the keyring's keys: equal only for the same request."""

    ring_key_id: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An idempotency key that a call holds while its request is in progress."""

    tenant_id: str
    method: str
    idempotency_key: str = field(repr=False)
    holder: str


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """An earlier use of an idempotency key. *reply*: None while it is in progress."""

    fingerprint: Fingerprint
    reply: tuple[str | None, ...] | None


@dataclass(frozen=True, slots=True)
class LoginWrite:
    """A proven login with its secrets sealed, written in one transaction."""

    address: SecretAddress
    username: str
    credential: Envelope
    session: Envelope
    session_expires_at: Micros
    next_check_at: Micros
    create_profile: bool
    reservation: Reservation | None
    at: Micros
    link_id: str = ""
    """The connect link that it uses up, if any."""


@dataclass(frozen=True, slots=True)
class SessionEnvelope:
    """A stored session, with the address that it opens at."""

    address: SecretAddress
    sealed: Envelope


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A stored secret, with its purpose and the address that it opens at."""

    purpose: Purpose
    address: SecretAddress
    sealed: Envelope


class Upkeep(NamedTuple):
    """What is remembered of a connection between two checks.

    *checked_at*: the last check, of any outcome. *document_at*: when the account's document last
    named the connection's server. *moved_at*: when it first named another. *doubts*: consecutive
    checks without a verdict. *answered_logins*: logins since the last successful refresh that the
    server accepted, rejected or answered unusably. *login_after*: the earliest time of the next
    login. *rejections*: logins in a row that the account's server rejected.
    """

    checked_at: Micros | None = None
    document_at: Micros = 0
    moved_at: Micros | None = None
    doubts: int = 0
    answered_logins: int = 0
    login_after: Micros | None = None
    rejections: int = 0


class StoredConnection(NamedTuple):
    """A stored connection with its sealed secrets.

    *fence* numbers the claims on it: only the holder of the newest may write.
    """

    address: SecretAddress
    connection: Connection
    credential: Envelope
    session: Envelope
    refreshed_at: Micros
    fence: int
    upkeep: Upkeep


@dataclass(frozen=True, slots=True)
class NewSession:
    """A sealed session that replaces another."""

    sealed: Envelope
    expires_at: Micros
    at: Micros


class Surveyed(NamedTuple):
    """A connection, as a survey of the whole store sees it: its state, and the ids of the keys of
    its credential and its session."""

    tenant_id: str
    profile_key: str
    platform: str
    state: str
    credential_key_id: str
    session_key_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A connection that is due for a check, and its server."""

    tenant_id: str
    profile_key: str
    platform: str
    origin: str


@dataclass(frozen=True, slots=True)
class VerdictWrite:
    """A check's result: all that its last transaction writes.

    *session*: a refreshed session that is not stored yet.
    """

    connection: Connection
    upkeep: Upkeep
    events: tuple[EventKind, ...]
    at: Micros
    session: NewSession | None = None


@dataclass(frozen=True, slots=True)
class EventsKept:
    """The range of a tenant's kept events: those after *last_pruned*, up to *latest*."""

    last_pruned: int
    latest: int


class LoginPurpose(StrEnum):
    """What a login is spent on."""

    CONNECT = "connect"
    UPKEEP = "upkeep"
    """For an existing connection: a lease or a verdict."""


@dataclass(frozen=True, slots=True)
class Debit:
    """A login that was or will be spent on an account at its server."""

    account_id: str
    origin: str
    tenant_id: str
    purpose: LoginPurpose
    at: Micros


Allow = Callable[[Sequence[Debit], Micros | None, bool], None]
"""Raises, unless a login may be spent. Given: the account's debits, the end of its pause, and
whether the tenant is connected to it."""
