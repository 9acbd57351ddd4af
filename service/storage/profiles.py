"""Profiles, their connections and their sealed secrets."""

from service.domain.errors import (
    InvalidApiKey,
    PlatformNotConnected,
    ProfileAlreadyExists,
    ProfileNotFound,
)
from service.domain.model import Connection, EventKind, Micros, Place, Profile
from service.domain.records import LoginWrite, Reservation, SecretAddress, SessionEnvelope
from service.storage import statements as sql
from service.storage.engine import Engine, Transaction
from service.storage.events import add_event
from service.storage.idempotency import complete
from service.storage.rows import profiles_in, stored_session

FEW = 101
"""A page of a hundred, and one more that tells whether there is another."""


class Profiles:
    """The part of `Store` that holds what tenants keep."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create_profile(
        self, tenant_id: str, profile: Profile, reservation: Reservation | None = None
    ) -> None:
        async def job(transaction: Transaction) -> None:
            await _add_profile(transaction, tenant_id, profile)
            reply = (profile.profile_key, profile.profile_name)
            await complete(transaction, reservation, profile.profile_key, reply, profile.created_at)

        await self._engine.write(job)

    async def profile(self, tenant_id: str, profile_key: str) -> Profile:
        rows = await self._engine.look_up(sql.PROFILE, tenant_id, profile_key)
        if not rows:
            raise ProfileNotFound
        return profiles_in(rows)[0]

    async def profiles(
        self, tenant_id: str, after: Place, most: int, *, to_reconnect: bool
    ) -> list[Profile]:
        place = (tenant_id, after.created_at, after.profile_key)
        if to_reconnect:
            rows = await self._engine.read(sql.PROFILES_TO_RECONNECT, *place, most)
        elif most > FEW:
            rows = await self._engine.read(sql.PROFILES, *place, most)
        else:
            rows = await self._engine.look_up(sql.PROFILES, *place, most)
        return profiles_in(rows)

    async def delete_profile(self, tenant_id: str, profile_key: str) -> list[SessionEnvelope]:
        async def job(transaction: Transaction) -> list[SessionEnvelope]:
            rows = await transaction.run(sql.PROFILE, tenant_id, profile_key)
            sessions = await transaction.run(sql.STORED_SESSIONS, tenant_id, profile_key)
            if not await transaction.run(sql.DELETE_PROFILE, tenant_id, profile_key):
                raise ProfileNotFound
            await transaction.run(sql.STRIP_EVENTS, tenant_id, profile_key)
            for _ in profiles_in(rows)[0].connections:
                await add_event(transaction, tenant_id, profile_key, EventKind.DISCONNECTED)
            return [stored_session(tenant_id, row) for row in sessions]

        return await self._engine.write(job)

    async def disconnect(
        self, tenant_id: str, profile_key: str, platform: str, at: Micros
    ) -> SessionEnvelope | None:
        async def job(transaction: Transaction) -> SessionEnvelope | None:
            connection = await _connection(transaction, tenant_id, profile_key, platform)
            if connection is None:
                raise PlatformNotConnected(platform)
            rows = await transaction.run(sql.STORED_SESSION, tenant_id, profile_key, platform)
            await transaction.run(sql.DELETE_CONNECTION, tenant_id, profile_key, platform)
            await add_event(
                transaction, tenant_id, profile_key, EventKind.DISCONNECTED, connection, at
            )
            return stored_session(tenant_id, rows[0]) if rows else None

        return await self._engine.write(job)

    async def connected_account(
        self, tenant_id: str, profile_key: str, platform: str
    ) -> str | None:
        rows = await self._engine.look_up(sql.CONNECTED_ACCOUNT, tenant_id, profile_key, platform)
        if not rows:
            raise ProfileNotFound
        account_id: str | None = rows[0]["account_id"]
        return account_id

    async def save_login(self, saved: LoginWrite) -> SessionEnvelope | None:
        place = saved.context
        of_connection = (place.tenant_id, place.profile_key, place.platform)

        async def job(transaction: Transaction) -> SessionEnvelope | None:
            if saved.create_profile:
                new = Profile(place.profile_key, None, saved.at)
                await _add_profile(transaction, place.tenant_id, new)
            connection = await _connection(transaction, *of_connection)
            if connection is not None and connection.account_id != place.account_id:
                raise ProfileAlreadyExists(place.platform)
            before = await transaction.run(sql.STORED_SESSION, *of_connection)
            await transaction.run(
                sql.SAVE_CONNECTION,
                *of_connection,
                place.account_id,
                saved.username,
                saved.username,
                place.origin,
                place.generation,
                saved.at,
                saved.next_check_at,
            )
            await transaction.run(
                sql.SAVE_CREDENTIAL,
                *of_connection,
                place.generation,
                saved.credential.ring_key_id,
                saved.credential.envelope,
            )
            await transaction.run(
                sql.SAVE_SESSION,
                *of_connection,
                place.generation,
                saved.session.ring_key_id,
                saved.session.envelope,
                saved.session_expires_at,
                saved.at,
            )
            await add_event(
                transaction,
                place.tenant_id,
                place.profile_key,
                EventKind.CONNECTED if connection is None else EventKind.RECONNECTED,
                await _connection(transaction, *of_connection),
                saved.at,
            )
            reply = (place.profile_key, place.platform, saved.username)
            await complete(transaction, saved.reservation, place.profile_key, reply, saved.at)
            return stored_session(place.tenant_id, before[0]) if before else None

        return await self._engine.write(job)

    async def save_display_name(self, place: SecretAddress, display_name: str) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(
                sql.SAVE_DISPLAY_NAME,
                place.tenant_id,
                place.profile_key,
                place.platform,
                place.generation,
                display_name,
            )

        await self._engine.write(job)


async def _add_profile(transaction: Transaction, tenant_id: str, profile: Profile) -> None:
    """Raises InvalidApiKey where the tenant was deleted while its key was still in a cache."""
    added = await transaction.run(
        sql.ADD_PROFILE, tenant_id, profile.profile_key, profile.profile_name, profile.created_at
    )
    if not added and not await transaction.run(sql.TENANT_EXISTS, tenant_id):
        raise InvalidApiKey


async def _connection(
    transaction: Transaction, tenant_id: str, profile_key: str, platform: str
) -> Connection | None:
    """The profile's connection; raises ProfileNotFound."""
    rows = await transaction.run(sql.PROFILE, tenant_id, profile_key)
    if not rows:
        raise ProfileNotFound
    found = [row for row in profiles_in(rows)[0].connections if row.platform == platform]
    return found[0] if found else None
