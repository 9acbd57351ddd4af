"""The ports of the store, one for each noun.

A write is durable once its method has returned. Every method may raise ServiceUnavailable. Then
nothing was written, with one exception: if the database connection broke during the commit, the
write may be durable. Methods that are not limited to one tenant say so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from service.domain.audit import AuditRow
from service.domain.links import ConnectLink, NewLink, TenantPage
from service.domain.model import (
    ApiKey,
    ConnectionEvent,
    Micros,
    Place,
    Profile,
    Tenant,
)
from service.domain.records import (
    Allow,
    Debit,
    Due,
    EarlierRequest,
    Envelope,
    EventsKept,
    Fingerprint,
    LoginWrite,
    NewSession,
    Purpose,
    Reservation,
    SecretAddress,
    SecretRow,
    SessionEnvelope,
    StoredConnection,
    Surveyed,
    VerdictWrite,
)


class TenantStore(Protocol):
    """Tenants."""

    async def create(self, tenant: Tenant) -> None: ...

    async def all(self) -> list[Tenant]:
        """Return every tenant, oldest first."""

    async def delete_batch(self, tenant_id: str, at: Micros) -> list[SessionEnvelope] | None:
        """Delete a batch of the tenant's data: API keys first, the tenant itself last.

        Returns the sessions deleted with the batch, or None if there is no such tenant (any more).
        """


class ApiKeyStore(Protocol):
    """API keys: HMACs of them, never the keys."""

    async def add(self, key: ApiKey) -> bool:
        """Add *key*. Returns False, and adds nothing, if its tenant does not exist."""

    async def get(self, key_id: str) -> ApiKey | None:
        """Return the key of any tenant, revoked or not, or None."""

    async def of_tenant(self, tenant_id: str) -> list[ApiKey]:
        """Return the tenant's keys, revoked ones included, oldest first."""

    async def revoke(self, key_id: str, at: Micros) -> bool:
        """Revoke a key of any tenant; no-op if it is revoked. Returns False if there is none."""


class ProfileStore(Protocol):
    """Profiles."""

    async def create(
        self, tenant_id: str, profile: Profile, reservation: Reservation | None = None
    ) -> None:
        """Add an empty profile, and save the reply for its reservation.

        If a profile with that key exists, saves the reply only. Raises InvalidApiKey if the tenant
        does not exist.
        """

    async def get(self, tenant_id: str, profile_key: str) -> Profile:
        """Return the profile with its connections. Raises ProfileNotFound."""

    async def page(
        self, tenant_id: str, after: Place, limit: int, *, to_reconnect: bool
    ) -> list[Profile]:
        """Return at most *limit* profiles after a place, by time of creation and key.

        *to_reconnect*: only those with a connection that needs a reconnect.
        """

    async def delete(self, tenant_id: str, profile_key: str, at: Micros) -> list[SessionEnvelope]:
        """Delete a profile with its connections, and return their sessions.

        Raises ProfileNotFound.
        """


class ConnectionStore(Protocol):
    """Connections with their sealed secrets, and claims on them.

    The holder of a claim may replace the session and write a verdict until another claim is made.
    """

    async def survey(self, after: tuple[str, str, str], limit: int) -> list[Surveyed]:
        """Return at most *limit* connections of all tenants after a place, in order.

        A place is a tenant's id, a profile key and a platform.
        """

    async def connected_account(
        self, tenant_id: str, profile_key: str, platform: str
    ) -> str | None:
        """Return the id of the account that the profile is connected to on *platform*, if any.

        Raises ProfileNotFound.
        """

    async def save_login(self, saved: LoginWrite) -> SessionEnvelope | None:
        """Write a proven login: profile, connection, secrets, event and reply, in one transaction.

        Returns the session that it replaces. Raises ProfileNotFound if the profile is gone,
        ProfileAlreadyExists if it is connected to another account, InvalidApiKey if the profile
        is to be created and the tenant is gone, and ConnectLinkNotFound if its link has ended.
        """

    async def save_display_name(self, address: SecretAddress, display_name: str) -> None:
        """Write the account's display name; no-op if the connection has another generation."""

    async def disconnect(
        self, tenant_id: str, profile_key: str, platform: str, at: Micros
    ) -> SessionEnvelope | None:
        """Delete a connection with its secrets, and return its session.

        Raises ProfileNotFound or PlatformNotConnected.
        """

    async def connection(self, tenant_id: str, profile_key: str, platform: str) -> StoredConnection:
        """Return a connection with its secrets. Raises ProfileNotFound or PlatformNotConnected."""

    async def claim(
        self, address: SecretAddress, at: Micros, until: Micros
    ) -> StoredConnection | None:
        """Claim the connection. Returns None while another claim on it holds.

        Raises ProfileNotFound. Raises PlatformNotConnected if there is no connection, or if its
        generation is not that of *address*.
        """

    async def claimed_until(self, address: SecretAddress) -> Micros:
        """Return when the claim on the connection expires, 0 if there is none. Read-only."""

    async def release_claim(self, held: StoredConnection) -> None:
        """Release the claim; no-op if it is lost."""

    async def release_all_claims(self) -> None:
        """Release every claim, of all tenants. Only for a starting process that owns the store."""

    async def save_session(
        self, held: StoredConnection, session: NewSession, *, release: bool = False
    ) -> bool:
        """Replace the session, and release the claim if *release*.

        Returns False, and writes nothing, if the claim is lost.
        """

    async def save_origin(
        self, held: StoredConnection, origin: str, credential: Envelope, session: Envelope
    ) -> bool:
        """Write a new origin, and both secrets sealed for it.

        Returns False, and writes nothing, if the claim is lost.
        """

    async def save_verdict(self, held: StoredConnection, verdict: VerdictWrite) -> bool:
        """Write a verdict, its events and its session, and release the claim.

        Returns False, and writes nothing, if the claim is lost.
        """


class CheckQueue(Protocol):
    """Connections of all tenants, by the time when their check is due."""

    async def pick_due(self, at: Micros, again_at: Micros, limit: int, after: str) -> list[Due]:
        """Return at most *limit* due connections, shared fairly among the tenants.

        Starts with the tenant that follows *after* in the order of ids. Postpones the returned
        connections to *again_at*, in case their checks are lost.
        """

    async def bring_forward(self, at: Micros, latest: Micros) -> None:
        """Set the due time of every check that is due after *latest* to *at*."""

    async def put_off(self, due: Due, until: Micros) -> None:
        """Make a picked check due at *until*."""

    async def next_due(self) -> Micros | None:
        """Return when the next check is due."""


class EventStore(Protocol):
    """Events, numbered by tenant without gaps."""

    async def kept(self, tenant_id: str) -> EventsKept | None:
        """Return which of the tenant's events are kept, or None if there is no such tenant."""

    async def page(self, tenant_id: str, after: int, limit: int) -> list[ConnectionEvent]:
        """Return at most *limit* of the tenant's kept events after that number, in order."""

    async def latest(self, tenant_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of the latest event of each tenant that exists."""

    async def mark(self, at: Micros) -> None:
        """Record for all tenants that no event so far was written after *at*."""

    async def prune(self, marked_by: Micros) -> bool:
        """Delete a batch of the events, of all tenants, that were marked at *marked_by* or before.

        Returns whether there may be more.
        """

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call *call* after every commit of this process: it may have written an event."""


class AuditStore(Protocol):
    """The audit trail. The methods that make a change add the row of the call in progress."""

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """Add rows; skip those of callers whose tenant does not exist (any more)."""

    async def page(
        self, tenant_id: str | None, since: Micros, after: int, until: Micros, limit: int
    ) -> list[AuditRow]:
        """Return at most *limit* rows in order of time and number, of all tenants if None.

        From *since*, there with numbers above *after* only, to before *until*.
        """

    async def written_after(self, number: int, limit: int) -> list[AuditRow]:
        """Return at most *limit* rows of all tenants with higher numbers, in order of number.

        No row with a number below that of a returned one is written later.
        """

    async def delete(self, before: Micros, limit: int) -> int:
        """Delete about *limit* rows older than *before*, of all tenants, oldest first.

        Returns how many were deleted.
        """


class LoginBudgetStore(Protocol):
    """Logins spent on accounts, by all tenants, and pauses that platforms asked for."""

    async def debit(self, debit: Debit, allow: Allow) -> None:
        """Spend a login, unless *allow* raises.

        *allow* gets three values: the account's debits of the last 44 hours (DAY + FIRST_AFTER),
        the end of its pause, and whether the tenant is connected to it.
        """

    async def add_rejection(self, rejection: Debit) -> None:
        """Record that the site *rejection.origin* rejected a login, of any of its accounts."""

    async def rejections(self, origin: str, since: Micros) -> list[Debit]:
        """Return the rejections at the site *origin* after *since*."""

    async def pause_logins(self, account_id: str, origin: str, until: Micros) -> None:
        """Record that the platform accepts no login of this account until then."""

    async def delete_expired(self, at: Micros) -> bool:
        """Delete a batch of the debits and pauses that no longer count at *at*.

        Returns whether there may be more.
        """


class IdempotencyStore(Protocol):
    """Idempotency keys, and the replies to their requests."""

    async def reserve(
        self, reservation: Reservation, fingerprint: Fingerprint, at: Micros, until: Micros
    ) -> EarlierRequest | None:
        """Reserve the idempotency key until *until* and return None.

        If an earlier request used the key, returns that request and reserves nothing.
        """

    async def earlier_request(self, reservation: Reservation, at: Micros) -> EarlierRequest | None:
        """Return the request that used the idempotency key, None if it is free. Read-only."""

    async def release(self, reservation: Reservation) -> None:
        """Release the idempotency key after a failure."""

    async def release_all(self) -> None:
        """Release every key without a reply, of all tenants.

        Only for a starting process that owns the store.
        """

    async def delete_expired(self, at: Micros) -> bool:
        """Delete a batch of keys, of all tenants, with their replies, that have expired by *at*.

        Returns whether there may be more.
        """


class ConnectLinkStore(Protocol):
    """Connect links: digests of their tokens, never the tokens; and what tenants registered."""

    async def add(self, new: NewLink) -> None:
        """Add a link, and save the reply for its reservation: its id, its end and its key.

        Raises ProfileNotFound, or InvalidApiKey if the tenant does not exist.
        """

    async def get(self, digest: bytes) -> tuple[ConnectLink, TenantPage] | None:
        """Return the link of any tenant with that digest, and its tenant's page; or None."""

    async def take_try(self, tenant_id: str, link_id: str, most: int, at: Micros) -> bool:
        """Count a try of a link.

        Returns False, and counts none, if the link has had *most*, or has ended.
        """

    async def revoke(self, tenant_id: str, link_id: str, at: Micros) -> None:
        """End a link; no-op if it has ended. Raises ConnectLinkNotFound."""

    async def delete_expired(self, before: Micros) -> bool:
        """Delete a batch of links, of all tenants, that had expired by *before*.

        Returns whether there may be more.
        """

    async def page(self, tenant_id: str) -> TenantPage | None:
        """Return what the tenant has registered, or None if there is no such tenant."""

    async def set_page(self, tenant_id: str, page: TenantPage, at: Micros) -> bool:
        """Replace what the tenant has registered. Returns False if there is no such tenant."""


class FactStore(Protocol):
    """Facts about the whole store, by name."""

    async def get(self, name: str) -> str | None: ...

    async def put_once(self, name: str, value: str) -> str:
        """Write a fact unless its name exists. Return the value that the store then has."""

    async def replace(self, name: str, old: str, new: str) -> bool:
        """Compare and set. Returns False, and writes nothing, if the value is not *old*."""


class SecretStore(Protocol):
    """Sealed secrets of all tenants, for the rotation of keys."""

    async def key_uses(self, at: Micros) -> Mapping[str, int]:
        """Return how many rows use each key of the keyring, by key id.

        Does not count rows that expired by *at*.
        """

    async def sealed_otherwise(
        self, purpose: Purpose, key_id: str, after: SecretAddress, limit: int
    ) -> list[SecretRow]:
        """Return at most *limit* secrets after *after*, in order, that *key_id* does not wrap."""

    async def replace_unchanged(self, rewrapped: Sequence[tuple[SecretRow, Envelope]]) -> int:
        """Replace the secrets that have not changed since they were read; return how many."""
