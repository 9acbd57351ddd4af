"""The port of the store: what is kept, and what is written together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

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
    AuditedLease,
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
    VerdictWrite,
)


class Store(Protocol):
    """Where tenants, keys, profiles and sealed secrets are kept.

    What a write has returned from is durable. Every method may raise ServiceUnavailable, and
    then nothing of it was written, unless the way to the database broke while it committed. Every
    statement carries the tenant.
    """

    async def create_tenant(self, tenant: Tenant) -> None: ...

    async def tenants(self) -> list[Tenant]: ...

    async def add_api_key(self, key: ApiKey) -> bool:
        """Whether the key's tenant exists, and so the key was added."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """The key of this id, revoked or not."""

    async def api_keys(self, tenant_id: str) -> list[ApiKey]: ...

    async def revoke_api_key(self, key_id: str, at: Micros) -> bool:
        """Whether there is such a key; it is revoked from now on."""

    async def create_profile(
        self, tenant_id: str, profile: Profile, reservation: Reservation | None = None
    ) -> None:
        """Add an empty profile, unless there is one of that key, and the reply to repeat.

        Raises InvalidApiKey where there is no such tenant (any more).
        """

    async def profile(self, tenant_id: str, profile_key: str) -> Profile:
        """Raises ProfileNotFound."""

    async def profiles(
        self, tenant_id: str, after: Place, most: int, *, to_reconnect: bool
    ) -> list[Profile]:
        """The next profiles after a place, in order of creation and key."""

    async def delete_profile(self, tenant_id: str, profile_key: str) -> list[SessionEnvelope]:
        """Remove a profile and all that is its; returns its sessions. Raises ProfileNotFound."""

    async def disconnect(
        self, tenant_id: str, profile_key: str, platform: str, at: Micros
    ) -> SessionEnvelope | None:
        """Remove a connection and its secrets; returns its session.

        Raises ProfileNotFound or PlatformNotConnected.
        """

    async def delete_part_of_tenant(self, tenant_id: str) -> list[SessionEnvelope] | None:
        """Remove a part of what is a tenant's, keys first and the tenant last; returns the sessions
        that went with it, and None once there is no such tenant."""

    async def save_display_name(self, place: SecretAddress, display_name: str) -> None:
        """Note the account's own name, if the connection is still of that generation."""

    async def connection(self, tenant_id: str, profile_key: str, platform: str) -> StoredConnection:
        """A connection with its secrets. Raises ProfileNotFound or PlatformNotConnected."""

    async def claim(
        self, context: SecretAddress, at: Micros, until: Micros
    ) -> StoredConnection | None:
        """Take the upkeep of a connection of that generation; None while somebody else has it.

        Raises ProfileNotFound, or PlatformNotConnected also where it was connected anew.
        """

    async def claimed_until(self, context: SecretAddress) -> Micros:
        """When the claim on the connection runs out, 0 if there is none. Reads alone."""

    async def give_up_claim(self, held: StoredConnection) -> None:
        """Let others take it."""

    async def forget_claims(self) -> None:
        """Give up every claim: for a process that has the store to itself, when it starts."""

    async def save_session(self, held: StoredConnection, session: NewSession) -> bool:
        """Put the session in its place, and tell whether the claim still held: else nothing is
        written."""

    async def save_home(
        self, held: StoredConnection, origin: str, credential: Envelope, session: Envelope
    ) -> bool:
        """Note another origin of the same house, with the secrets sealed for it."""

    async def save_verdict(self, held: StoredConnection, verdict: VerdictWrite) -> bool:
        """Write a verdict and its events, and give up the claim; whether it still held."""

    async def pick_due(self, at: Micros, again_at: Micros, most: int, after: str) -> list[Due]:
        """At most *most* connections whose check is due, fairly over the tenants, beginning with
        the one after *after*. They are due again at *again_at*, should nobody check them."""

    async def bring_forward(self, at: Micros, latest: Micros) -> None:
        """Let checks that are due after *latest* be due at *at*."""

    async def put_off(self, due: Due, until: Micros) -> None:
        """Let a check that was picked wait."""

    async def next_due(self) -> Micros | None:
        """When the next check is due."""

    async def add_leases(self, leases: Sequence[AuditedLease]) -> None:
        """Write down what was lent, in the audit trail."""

    async def leases(self, tenant_id: str, since: Micros, most: int) -> list[AuditedLease]:
        """The leases of a tenant since then, oldest first: *most* of them and those that share
        the time of the next, or all, if they are fewer."""

    async def forget_leases(self, before: Micros, most: int) -> int:
        """Remove the oldest of the audit trail; returns how many."""

    async def debit(self, debit: Debit, allow: Allow) -> None:
        """Spend a login if *allow* does not raise, given what was spent in the last 44 hours."""

    async def pause_logins(self, account_id: str, origin: str, until: Micros) -> None:
        """Note that the platform wants no login of this account for a while."""

    async def connected_account(
        self, tenant_id: str, profile_key: str, platform: str
    ) -> str | None:
        """The id of the account that the profile is connected to on *platform*, if any.

        Raises ProfileNotFound where the tenant has no such profile.
        """

    async def save_login(self, saved: LoginWrite) -> SessionEnvelope | None:
        """Write a proven login whole: profile, connection, secrets, event, the reply to repeat.

        Returns the session that it replaced. Raises ProfileNotFound where the profile is gone by
        now, ProfileAlreadyExists where it is connected to another account by now, and
        InvalidApiKey where it would be made for a tenant that is gone.
        """

    async def reserve(
        self, reservation: Reservation, fingerprint: Fingerprint, at: Micros, until: Micros
    ) -> EarlierRequest | None:
        """Reserve the idempotency key until then, or return what it was used for."""

    async def earlier_request(self, reservation: Reservation, at: Micros) -> EarlierRequest | None:
        """What the idempotency key was used for; None if it is free. Reads alone."""

    async def release(self, reservation: Reservation) -> None:
        """Give the idempotency key back after a failure."""

    async def forget_reservations(self) -> None:
        """Give back every key whose request is under way: for a process that has the store to
        itself, when it starts."""

    async def events_kept(self, tenant_id: str) -> EventsKept | None:
        """Which of the tenant's events there are, as of the last commit; None: no such tenant."""

    async def events(self, tenant_id: str, after: int, most: int) -> list[ConnectionEvent]:
        """The tenant's next events after that number, of those kept, in order."""

    async def newest_events(self, tenant_ids: Sequence[str]) -> dict[str, int]:
        """The number of the newest event of each tenant, of those that there are."""

    async def mark_events(self, at: Micros) -> None:
        """Note that every event so far was written by then."""

    async def prune_events(self, marked_by: Micros) -> bool:
        """Remove a batch of the events that were marked by then; whether there may be more."""

    def on_commit(self, call: Callable[[], None]) -> None:
        """Let *call* be called after every commit of this process."""

    async def remembered(self, name: str) -> str | None:
        """A fact of the whole store, by name."""

    async def remember(self, name: str, value: str) -> str:
        """Note a fact of the whole store, once and for all; returns the one that stands."""

    async def revise(self, name: str, was: str, value: str) -> bool:
        """Put another value in a fact's place; whether it still was that one."""

    async def key_uses(self, at: Micros) -> Mapping[str, int]:
        """How many rows, of those that count at that time, name each key of the keyring."""

    async def sealed_otherwise(
        self, purpose: Purpose, key_id: str, after: SecretAddress, most: int
    ) -> list[SecretRow]:
        """The next secrets after a place, of all tenants, that another key than that one wraps."""

    async def rewrap(self, resealed: Sequence[tuple[SecretRow, Envelope]]) -> int:
        """Replace secrets that are still as they were read; returns how many those are."""
