"""Records: what is written down of logins, sealed secrets and requests. Tuples as in the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from service.domain.model import Connection, EventKind, Micros

ConnectionKey = tuple[str, str, str, int]
"""Tenant, profile, platform and generation."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A secret as it is stored: the envelope, and the keyring's key that wraps it."""

    ring_key_id: str
    envelope: bytes = field(repr=False)


class SecretAddress(NamedTuple):
    """Where a sealed secret belongs. It opens there and nowhere else."""

    tenant_id: str
    profile_key: str
    platform: str
    account_id: str
    origin: str
    generation: int

    @property
    def key(self) -> "ConnectionKey":
        """What tells this making of the connection from every other, wherever its account lives."""
        return self.tenant_id, self.profile_key, self.platform, self.generation


class Purpose(StrEnum):
    """What a sealed secret is for: part of what binds it to its place."""

    CREDENTIAL = "credential"
    SESSION = "session"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """An HMAC over a request, under one of the keyring's keys: equal only for the same request."""

    ring_key_id: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An idempotency key that this call holds while its request is under way."""

    tenant_id: str
    method: str
    idempotency_key: str = field(repr=False)
    holder: str


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """What an idempotency key was used for before; no reply while that is still under way."""

    fingerprint: Fingerprint
    reply: tuple[str | None, ...] | None


@dataclass(frozen=True, slots=True)
class LoginWrite:
    """A proven login with its secrets sealed: all that one transaction writes."""

    context: SecretAddress
    username: str
    credential: Envelope
    session: Envelope
    session_expires_at: Micros
    next_check_at: Micros
    create_profile: bool
    reservation: Reservation | None
    at: Micros


@dataclass(frozen=True, slots=True)
class SessionEnvelope:
    """A sealed session as it was stored, with the place that it opens in."""

    context: SecretAddress
    sealed: Envelope


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A sealed secret as it was stored, with all that it takes to open it."""

    purpose: Purpose
    context: SecretAddress
    sealed: Envelope


class Upkeep(NamedTuple):
    """What is noted of a connection between two checks of it.

    *checked_at*: when it was last checked, whatever came of it. *document_at*: when the account
    was last seen to live where the connection says. *moved_at*: when it was first seen to live
    elsewhere. *doubts*: checks in a row that could not tell. *refusals*: logins in a row that were
    refused, and *login_after*, before which there is none.
    """

    checked_at: Micros | None = None
    document_at: Micros = 0
    moved_at: Micros | None = None
    doubts: int = 0
    refusals: int = 0
    login_after: Micros | None = None


class StoredConnection(NamedTuple):
    """A connection as it is stored, with its sealed secrets.

    *fence* numbers the claims on it: who holds the newest may write, and nobody else.
    """

    context: SecretAddress
    connection: Connection
    credential: Envelope
    session: Envelope
    refreshed_at: Micros
    fence: int
    upkeep: Upkeep


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that takes the place of another, sealed."""

    sealed: Envelope
    expires_at: Micros
    at: Micros


@dataclass(frozen=True, slots=True)
class Due:
    """A connection whose check is due, and the host that it will ask."""

    tenant_id: str
    profile_key: str
    platform: str
    origin: str


class AuditedLease(NamedTuple):
    """Who was lent a session, when, and until when; the token is not told."""

    at: Micros
    tenant_id: str
    key_id: str
    profile_key: str
    platform: str
    account_id: str
    expires_at: Micros
    """When the token ends."""


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
    """Which of a tenant's events there are: those after *pruned*, up to *newest*."""

    pruned: int
    newest: int


class LoginPurpose(StrEnum):
    """What a login is spent on."""

    CONNECT = "connect"
    UPKEEP = "upkeep"
    """To keep a connection that exists: a lease or a verdict."""


@dataclass(frozen=True, slots=True)
class Debit:
    """A login that was spent, or is about to be, on an account at its server."""

    account_id: str
    origin: str
    tenant_id: str
    purpose: LoginPurpose
    at: Micros


Allow = Callable[[Sequence[Debit], Micros | None, bool], None]
"""Raises, unless a login may be spent: given what was spent of late, until when the platform
wants none, and whether the tenant is connected to the account."""
