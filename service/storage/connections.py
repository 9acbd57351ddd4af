"""Connections with their sealed secrets, and claims on them."""

from collections.abc import Sequence

from service.domain import audit
from service.domain.audit import VERIFY
from service.domain.errors import (
    ConnectLinkNotFound,
    PlatformNotConnected,
    ProfileAlreadyExists,
    ProfileNotFound,
)
from service.domain.model import Connection, EventKind, Micros, Profile
from service.domain.records import (
    Envelope,
    LoginWrite,
    NewSession,
    SecretAddress,
    SessionEnvelope,
    StoredConnection,
    Surveyed,
    VerdictWrite,
)
from service.storage.audit import write_audited
from service.storage.engine import Engine, Row, Transaction
from service.storage.events import add_event
from service.storage.idempotency import completion
from service.storage.profiles import add_profile
from service.storage.rows import connection_in, profiles_in, stored_connection, stored_session
from service.storage.statements import connections as sql
from service.storage.statements.links import USE_LINK
from service.storage.statements.profiles import PROFILE


class SqlConnections:
    """The port `ConnectionStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def survey(self, after: tuple[str, str, str], limit: int) -> list[Surveyed]:
        return [Surveyed(*row) for row in await self._engine.read(sql.SURVEY, *after, limit)]

    async def connected_account(
        self, tenant_id: str, profile_key: str, platform: str
    ) -> str | None:
        rows = await self._engine.get_by_key(
            sql.CONNECTED_ACCOUNT, tenant_id, profile_key, platform
        )
        if not rows:
            raise ProfileNotFound
        account_id: str | None = rows[0]["account_id"]
        return account_id

    async def save_login(self, saved: LoginWrite) -> SessionEnvelope | None:
        address = saved.address
        of_connection = (address.tenant_id, address.profile_key, address.platform)

        async def job(transaction: Transaction) -> SessionEnvelope | None:
            connection, before = None, None
            new = Profile(address.profile_key, None, saved.at)
            if not saved.create_profile or not await add_profile(
                transaction, address.tenant_id, new
            ):
                connection = await _connection(transaction, *of_connection)
                if connection is not None and connection.account_id != address.account_id:
                    raise ProfileAlreadyExists(address.platform)
                if rows := await transaction.run(sql.SESSION_OF_CONNECTION, *of_connection):
                    before = stored_session(address.tenant_id, rows[0])
            if saved.link_id:
                of_link = (address.tenant_id, saved.link_id, saved.at, *of_connection[1:])
                if not await transaction.run(USE_LINK, *of_link):
                    raise ConnectLinkNotFound
            # a profile added here has no connection yet: reading none could only cause a conflict
            [now] = await transaction.run_together(
                (
                    sql.SAVE_CONNECTION,
                    *of_connection,
                    address.account_id,
                    saved.username,
                    saved.username,
                    address.origin,
                    address.generation,
                    saved.at,
                    saved.next_check_at,
                ),
                (
                    sql.SAVE_CREDENTIAL,
                    *of_connection,
                    address.generation,
                    saved.credential.ring_key_id,
                    saved.credential.envelope,
                ),
                (
                    sql.SAVE_SESSION,
                    *of_connection,
                    address.generation,
                    saved.session.ring_key_id,
                    saved.session.envelope,
                    saved.session_expires_at,
                    saved.at,
                ),
            )
            reply = (address.profile_key, address.platform, saved.username)
            await add_event(
                transaction,
                address.tenant_id,
                address.profile_key,
                EventKind.CONNECTED if connection is None else EventKind.RECONNECTED,
                connection_in(now),
                saved.at,
                *completion(saved.reservation, address.profile_key, reply, saved.at),
            )
            return before

        return await write_audited(
            self._engine,
            job,
            saved.at,
            turn=address.tenant_id,
            profile_key=address.profile_key,
            platform=address.platform,
            account_id=address.account_id,
        )

    async def save_display_name(self, address: SecretAddress, display_name: str) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(
                sql.SAVE_DISPLAY_NAME,
                address.tenant_id,
                address.profile_key,
                address.platform,
                address.generation,
                display_name,
            )

        await self._engine.write(job)

    async def disconnect(
        self, tenant_id: str, profile_key: str, platform: str, at: Micros
    ) -> SessionEnvelope | None:
        async def job(transaction: Transaction) -> SessionEnvelope | None:
            connection = await _connection(transaction, tenant_id, profile_key, platform)
            if connection is None:
                raise PlatformNotConnected(platform)
            rows = await transaction.run(
                sql.SESSION_OF_CONNECTION, tenant_id, profile_key, platform
            )
            await transaction.run(sql.DELETE_CONNECTION, tenant_id, profile_key, platform)
            await add_event(
                transaction, tenant_id, profile_key, EventKind.DISCONNECTED, connection, at
            )
            return stored_session(tenant_id, rows[0]) if rows else None

        return await write_audited(
            self._engine, job, at, turn=tenant_id, profile_key=profile_key, platform=platform
        )

    async def connection(self, tenant_id: str, profile_key: str, platform: str) -> StoredConnection:
        rows = await self._engine.get_by_key(
            sql.STORED_CONNECTION, tenant_id, profile_key, platform
        )
        return _stored(tenant_id, platform, rows)

    async def claim(
        self, address: SecretAddress, at: Micros, until: Micros
    ) -> StoredConnection | None:
        async def job(transaction: Transaction) -> StoredConnection | None:
            key = _key(address)
            claimed = await transaction.run(sql.CLAIM, *key, until, at)
            rows = await transaction.run(sql.STORED_CONNECTION, *key)
            stored = _stored(address.tenant_id, address.platform, rows)
            if stored.address.generation != address.generation:
                # a later login replaced it
                raise PlatformNotConnected(address.platform)
            return stored if claimed else None

        return await self._engine.write(job)

    async def claimed_until(self, address: SecretAddress) -> Micros:
        rows = await self._engine.read(sql.CLAIMED_UNTIL, *_key(address))
        return int(rows[0]["claimed_until"]) if rows else 0

    async def release_claim(self, held: StoredConnection) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.RELEASE_CLAIM, *_held(held))

        await self._engine.write(job)

    async def release_all_claims(self) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.RELEASE_ALL_CLAIMS)

        await self._engine.write(job)

    async def save_session(
        self, held: StoredConnection, session: NewSession, *, release: bool = False
    ) -> bool:
        async def job(transaction: Transaction) -> bool:
            if not await _replace_session(transaction, held, session):
                return False
            if release:
                await transaction.run(sql.RELEASE_CLAIM, *_held(held))
            return True

        return await self._engine.write(job)

    async def save_origin(
        self, held: StoredConnection, origin: str, credential: Envelope, session: Envelope
    ) -> bool:
        of_connection = (*_key(held.address), held.address.generation)

        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(
                sql.REPLACE_SESSION_ENVELOPE, *_held(held), session.ring_key_id, session.envelope
            ):
                return False
            await transaction.run(
                sql.REPLACE_CREDENTIAL_ENVELOPE,
                *of_connection,
                credential.ring_key_id,
                credential.envelope,
            )
            await transaction.run(sql.SAVE_ORIGIN, *of_connection, origin)
            return True

        return await self._engine.write(job)

    async def save_verdict(self, held: StoredConnection, verdict: VerdictWrite) -> bool:
        address, upkeep, found = held.address, verdict.upkeep, verdict.connection

        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(sql.RELEASE_CLAIM, *_held(held)):
                return False
            if verdict.session is not None:
                await _replace_session(transaction, held, verdict.session)
            reason = found.reconnect_reason
            await transaction.run(
                sql.SAVE_VERDICT,
                *_key(address),
                address.generation,
                found.state.value,
                None if reason is None else reason.value,
                found.username,
                found.last_verified_at,
                found.next_check_at,
                upkeep.checked_at,
                upkeep.document_at,
                upkeep.moved_at,
                upkeep.doubts,
                upkeep.answered_logins,
                upkeep.login_after,
                upkeep.rejections,
            )
            if not verdict.events:
                return True
            rows = await transaction.run(sql.STORED_CONNECTION, *_key(address))
            now = stored_connection(address.tenant_id, rows[0]).connection
            for kind in verdict.events:
                await add_event(
                    transaction, address.tenant_id, address.profile_key, kind, now, verdict.at
                )
            return True

        turn = address.tenant_id if verdict.events else ""
        call = audit.current()
        if call is None or call.method != VERIFY:  # a lease's row says what was lent
            return await self._engine.write(job, turn)
        return await write_audited(
            self._engine, job, verdict.at, bool, turn=turn, account_id=address.account_id
        )


async def _connection(
    transaction: Transaction, tenant_id: str, profile_key: str, platform: str
) -> Connection | None:
    """Return the profile's connection on *platform*, if any. Raises ProfileNotFound."""
    rows = await transaction.run(PROFILE, tenant_id, profile_key)
    if not rows:
        raise ProfileNotFound
    found = [row for row in profiles_in(rows)[0].connections if row.platform == platform]
    return found[0] if found else None


async def _replace_session(
    transaction: Transaction, held: StoredConnection, session: NewSession
) -> bool:
    return bool(
        await transaction.run(
            sql.REPLACE_SESSION,
            *_held(held),
            session.sealed.ring_key_id,
            session.sealed.envelope,
            session.expires_at,
            session.at,
        )
    )


def _stored(tenant_id: str, platform: str, rows: Sequence[Row]) -> StoredConnection:
    if not rows:
        raise ProfileNotFound
    if rows[0]["platform"] is None:
        raise PlatformNotConnected(platform)
    return stored_connection(tenant_id, rows[0])


def _key(address: SecretAddress) -> tuple[str, str, str]:
    return address.tenant_id, address.profile_key, address.platform


def _held(held: StoredConnection) -> tuple[str, str, str, int, int]:
    return (*_key(held.address), held.address.generation, held.fence)
