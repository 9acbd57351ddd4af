"""Profiles: create, read, list and remove them, and disconnect their connections."""

from dataclasses import dataclass

from service.access.idempotency import Idempotency, check_idempotency_key
from service.connections.logouts import Logouts
from service.crypto.tokens import InvalidToken, Tokens
from service.domain.clock import Clock
from service.domain.errors import InvalidRequest
from service.domain.ids import new_profile_key
from service.domain.model import Caller, Created, Place, Profile
from service.domain.names import check_profile_name, required_platform_id, required_profile_key
from service.domain.store import ConnectionStore, ProfileStore, TenantStore
from service.runtime.tasks import OwnedTasks

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
FIRST = Place(0, "")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of profiles, and the token for the next page; empty on the last."""

    profiles: list[Profile]
    next_page_token: str


class Profiles:
    """Creates, reads, lists and removes profiles; removes connections."""

    def __init__(
        self,
        store: ProfileStore,
        connections: ConnectionStore,
        tenants: TenantStore,
        tokens: Tokens,
        idempotency: Idempotency,
        logouts: Logouts,
        clock: Clock,
        tasks: OwnedTasks,
    ) -> None:
        self._store = store
        self._connections = connections
        self._tenants = tenants
        self._tokens = tokens
        self._idempotency = idempotency
        self._logouts = logouts
        self._clock = clock
        self._tasks = tasks

    async def create(
        self, caller: Caller, profile_name: str | None, idempotency_key: str
    ) -> Created:
        """Create an empty profile. Raises InvalidRequest or IdempotencyKeyReused."""
        if profile_name is not None:
            check_profile_name(profile_name)
        check_idempotency_key(idempotency_key)
        parts = [str(profile_name is not None), profile_name or ""]
        reservation, reply = await self._idempotency.claim(
            caller, "CreateProfile", idempotency_key, parts
        )
        if reply is not None:
            return Created(str(reply[0]), reply[1])
        profile = Profile(new_profile_key(), profile_name, self._clock.now())
        async with self._idempotency.released_on_failure(reservation):
            await self._store.create(caller.tenant_id, profile, reservation)
        return Created(profile.profile_key, profile_name)

    async def get(self, caller: Caller, profile_key: str) -> Profile:
        """Return a profile. Raises InvalidRequest or ProfileNotFound."""
        return await self._store.get(caller.tenant_id, required_profile_key(profile_key))

    async def list(
        self, caller: Caller, page_size: int, page_token: str, *, to_reconnect: bool
    ) -> Page:
        """Return a page of the tenant's profiles, in order of creation. Raises InvalidRequest."""
        if page_size < 0:
            raise InvalidRequest("page_size", "must not be negative")
        size = min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        bound_to = (caller.tenant_id, "ListProfiles", str(to_reconnect))
        after = FIRST
        if page_token:
            try:
                after = self._tokens.place(page_token, *bound_to)
            except InvalidToken:
                raise InvalidRequest("page_token", "is not a token for this list") from None
        found = await self._store.page(caller.tenant_id, after, size + 1, to_reconnect=to_reconnect)
        if len(found) <= size:
            return Page(found, "")
        last = found[size - 1]
        place = Place(last.created_at, last.profile_key)
        return Page(found[:size], self._tokens.page(place, *bound_to))

    async def delete(self, caller: Caller, profile_key: str) -> None:
        """Remove a profile and all its data for good. Raises ProfileNotFound."""
        key = required_profile_key(profile_key)

        async def delete() -> None:
            for stored in await self._store.delete(caller.tenant_id, key, self._clock.now()):
                self._logouts.later(stored)

        # goes to its end even if the caller has left: a session would stay open otherwise
        await self._tasks.shield(delete())

    async def disconnect(self, caller: Caller, profile_key: str, platform: str) -> None:
        """Remove a connection. Raises ProfileNotFound or PlatformNotConnected."""
        key, platform = required_profile_key(profile_key), required_platform_id(platform)

        async def disconnect() -> None:
            at = self._clock.now()
            stored = await self._connections.disconnect(caller.tenant_id, key, platform, at)
            if stored is not None:
                self._logouts.later(stored)

        await self._tasks.shield(disconnect())

    async def delete_tenant(self, tenant_id: str) -> bool:
        """Remove a tenant and all its data for good; return whether it existed.

        Keys go first. An interrupted removal can be run again.
        """
        existed, at = False, self._clock.now()
        while (deleted := await self._tenants.delete_batch(tenant_id, at)) is not None:
            existed = True
            for stored in deleted:
                await self._logouts.now(stored)
        return existed
