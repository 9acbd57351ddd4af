"""Profiles."""

from service.domain.errors import InvalidApiKey, ProfileNotFound
from service.domain.model import EventKind, Micros, Place, Profile
from service.domain.records import Reservation, SessionEnvelope
from service.storage.audit import write_audited
from service.storage.engine import Engine, Transaction
from service.storage.events import add_event
from service.storage.idempotency import complete
from service.storage.rows import profiles_in, stored_session
from service.storage.statements import profiles as sql
from service.storage.statements.events import STRIP_EVENTS
from service.storage.statements.tenants import TENANT_EXISTS

MAX_ROWS_BY_KEY = 101
"""A page of a hundred, and one more row that shows whether there is another."""


class SqlProfiles:
    """The port `ProfileStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(
        self, tenant_id: str, profile: Profile, reservation: Reservation | None = None
    ) -> None:
        async def job(transaction: Transaction) -> None:
            await add_profile(transaction, tenant_id, profile)
            reply = (profile.profile_key, profile.profile_name)
            await complete(transaction, reservation, profile.profile_key, reply, profile.created_at)

        key = profile.profile_key
        await write_audited(self._engine, job, profile.created_at, profile_key=key)

    async def get(self, tenant_id: str, profile_key: str) -> Profile:
        rows = await self._engine.get_by_key(sql.PROFILE, tenant_id, profile_key)
        if not rows:
            raise ProfileNotFound
        return profiles_in(rows)[0]

    async def page(
        self, tenant_id: str, after: Place, limit: int, *, to_reconnect: bool
    ) -> list[Profile]:
        place = (tenant_id, after.created_at, after.profile_key)
        if to_reconnect:
            rows = await self._engine.read(sql.PROFILES_TO_RECONNECT, *place, limit)
        elif limit > MAX_ROWS_BY_KEY:
            rows = await self._engine.read(sql.PROFILES, *place, limit)
        else:
            rows = await self._engine.get_by_key(sql.PROFILES, *place, limit)
        return profiles_in(rows)

    async def delete(self, tenant_id: str, profile_key: str, at: Micros) -> list[SessionEnvelope]:
        async def job(transaction: Transaction) -> list[SessionEnvelope]:
            rows = await transaction.run(sql.PROFILE, tenant_id, profile_key)
            sessions = await transaction.run(sql.SESSIONS_OF_PROFILE, tenant_id, profile_key)
            if not await transaction.run(sql.DELETE_PROFILE, tenant_id, profile_key):
                raise ProfileNotFound
            await transaction.run(STRIP_EVENTS, tenant_id, profile_key)
            for _ in profiles_in(rows)[0].connections:
                await add_event(transaction, tenant_id, profile_key, EventKind.DISCONNECTED)
            return [stored_session(tenant_id, row) for row in sessions]

        return await write_audited(self._engine, job, at, turn=tenant_id, profile_key=profile_key)


async def add_profile(transaction: Transaction, tenant_id: str, profile: Profile) -> bool:
    """Add a profile, unless one of that key exists. Return whether it was added.

    Raises InvalidApiKey if the tenant was deleted while its key was still in a cache.
    """
    added = await transaction.run(
        sql.ADD_PROFILE, tenant_id, profile.profile_key, profile.profile_name, profile.created_at
    )
    if not added and not await transaction.run(TENANT_EXISTS, tenant_id):
        raise InvalidApiKey
    return bool(added)
