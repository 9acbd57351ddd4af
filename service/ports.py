"""What the use cases ask of the world: a platform, a store, a clock."""

import time
from typing import Protocol

from service.model import (
    Account,
    ApiKey,
    Credentials,
    Login,
    Micros,
    Place,
    PlatformCard,
    Profile,
    Session,
    Tenant,
)
from service.records import (
    Allow,
    Debit,
    EarlierRequest,
    Fingerprint,
    Reservation,
    SavedLogin,
    SealContext,
    StoredSession,
)


class Clock(Protocol):
    def now(self) -> Micros:
        """The time of day, in microseconds since the Unix epoch."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        return time.time_ns() // 1_000


class CredentialPlatform(Protocol):
    """A platform that an account's owner joins with credentials.

    Every method but `tidy` may raise PlatformUnavailable (the answer proves nothing) or
    PlatformRateLimited. None retries a login, and none sends credentials anywhere but to
    `Account.origin` as `identify` found it.
    """

    @property
    def card(self) -> PlatformCard:
        """What callers are told of the platform. Every field of its form is required."""

    async def warm_up(self) -> None:
        """Load what the first call would otherwise wait for.."""

    def tidy(self, credentials: Credentials) -> Credentials:
        """*credentials* without what people paste by accident; no call is made.

        Raises InvalidCredentials where their shape alone shows that they cannot be right.
        """

    async def identify(self, credentials: Credentials) -> Account:
        """The account that tidied *credentials* name, and its server, proved both ways.

        Costs no login. Raises InvalidCredentials where there is no such account.
        """

    async def log_in(self, credentials: Credentials, account: Account) -> Login:
        """Prove *credentials* for *account*; exactly one login is spent.

        Raises InvalidCredentials or AccountInactive; no session is left open at the server then.
        """

    async def display_name(self, account: Account) -> str | None:
        """The account's own name, where its server tells it without a login."""

    async def log_out(self, session: Session, origin: str) -> None:
        """End *session* at the server that gave it."""


class Store(Protocol):
    """Where tenants, keys, profiles and sealed secrets are kept.

    What a write has returned from is durable. Every method may raise ServiceUnavailable, and
    then nothing of it was written. Every statement carries the tenant.
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
        """Add an empty profile, unless there is one of that key, and the reply to repeat."""

    async def profile(self, tenant_id: str, profile_key: str) -> Profile:
        """Raises ProfileNotFound."""

    async def profiles(
        self, tenant_id: str, after: Place, most: int, *, to_reconnect: bool
    ) -> list[Profile]:
        """The next profiles after a place, in order of creation and key."""

    async def delete_profile(self, tenant_id: str, profile_key: str) -> list[StoredSession]:
        """Remove a profile and all that is its; returns its sessions. Raises ProfileNotFound."""

    async def disconnect(
        self, tenant_id: str, profile_key: str, platform: str, at: Micros
    ) -> StoredSession | None:
        """Remove a connection and its secrets; returns its session.

        Raises ProfileNotFound or PlatformNotConnected.
        """

    async def delete_tenant(self, tenant_id: str) -> list[StoredSession] | None:
        """Remove a tenant and all that is theirs; returns their sessions, None if unknown."""

    async def save_display_name(self, place: SealContext, display_name: str) -> None:
        """Note the account's own name, if the connection is still of that generation."""

    async def debit(self, debit: Debit, allow: Allow) -> None:
        """Spend a login if *allow* does not raise, given what was spent within the last day."""

    async def pause_logins(self, account_id: str, origin: str, until: Micros) -> None:
        """Note that the platform wants no login of this account for a while."""

    async def connected_account(
        self, tenant_id: str, profile_key: str, platform: str
    ) -> str | None:
        """The id of the account that the profile is connected to on *platform*, if any.

        Raises ProfileNotFound where the tenant has no such profile.
        """

    async def save_login(self, saved: SavedLogin) -> StoredSession | None:
        """Write a proven login whole: profile, connection, secrets, event, the reply to repeat.

        Returns the session that it replaced. Raises ProfileNotFound where the profile is gone by
        now, and ProfileAlreadyExists where it is connected to another account by now.
        """

    async def reserve(
        self, reservation: Reservation, fingerprint: Fingerprint, at: Micros
    ) -> EarlierRequest | None:
        """Take the idempotency key, or tell what it was used for."""

    async def release(self, reservation: Reservation) -> None:
        """Give the idempotency key back after a failure."""

    async def remembered(self, name: str) -> str | None:
        """A fact of the whole store, by name."""

    async def remember(self, name: str, value: str) -> str:
        """Note a fact of the whole store, once and for all; returns the one that stands."""
