"""Connections in use: claims on their upkeep, the sessions that follow each other, verdicts."""

from collections.abc import Sequence

from service.domain.errors import PlatformNotConnected, ProfileNotFound
from service.domain.model import Micros
from service.domain.records import (
    Due,
    Envelope,
    NewSession,
    SecretAddress,
    StoredConnection,
    VerdictWrite,
)
from service.storage import upkeep_statements as sql
from service.storage.engine import Engine, Row, Transaction
from service.storage.events import add_event
from service.storage.rows import stored_connection


class Connections:
    """The part of `Store` that keeps connections in use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def connection(self, tenant_id: str, profile_key: str, platform: str) -> StoredConnection:
        rows = await self._engine.look_up(sql.STORED_CONNECTION, tenant_id, profile_key, platform)
        return _stored(tenant_id, platform, rows)

    async def claim(
        self, context: SecretAddress, at: Micros, until: Micros
    ) -> StoredConnection | None:
        async def job(transaction: Transaction) -> StoredConnection | None:
            key = _key(context)
            claimed = await transaction.run(sql.CLAIM, *key, until, at)
            rows = await transaction.run(sql.STORED_CONNECTION, *key)
            stored = _stored(context.tenant_id, context.platform, rows)
            if stored.context.generation != context.generation:
                # whoever connected it anew has no need of us
                raise PlatformNotConnected(context.platform)
            return stored if claimed else None

        return await self._engine.write(job)

    async def claimed_until(self, context: SecretAddress) -> Micros:
        rows = await self._engine.read(sql.CLAIMED_UNTIL, *_key(context))
        return int(rows[0]["claimed_until"]) if rows else 0

    async def give_up_claim(self, held: StoredConnection) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.GIVE_UP_CLAIM, *_held(held))

        await self._engine.write(job)

    async def forget_claims(self) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.FORGET_CLAIMS)

        await self._engine.write(job)

    async def save_session(self, held: StoredConnection, session: NewSession) -> bool:
        async def job(transaction: Transaction) -> bool:
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

        return await self._engine.write(job)

    async def save_home(
        self, held: StoredConnection, origin: str, credential: Envelope, session: Envelope
    ) -> bool:
        of_connection = (*_key(held.context), held.context.generation)

        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(
                sql.MOVE_SESSION, *_held(held), session.ring_key_id, session.envelope
            ):
                return False
            await transaction.run(
                sql.MOVE_CREDENTIAL, *of_connection, credential.ring_key_id, credential.envelope
            )
            await transaction.run(sql.MOVE_CONNECTION, *of_connection, origin)
            return True

        return await self._engine.write(job)

    async def save_verdict(self, held: StoredConnection, verdict: VerdictWrite) -> bool:
        context, upkeep, found = held.context, verdict.upkeep, verdict.connection

        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(sql.GIVE_UP_CLAIM, *_held(held)):
                return False
            reason = found.reconnect_reason
            await transaction.run(
                sql.SAVE_VERDICT,
                *_key(context),
                context.generation,
                found.state.value,
                None if reason is None else reason.value,
                found.username,
                found.last_verified_at,
                found.next_check_at,
                upkeep.checked_at,
                upkeep.document_at,
                upkeep.moved_at,
                upkeep.doubts,
                upkeep.refusals,
                upkeep.login_after,
            )
            if not verdict.events:
                return True
            rows = await transaction.run(sql.STORED_CONNECTION, *_key(context))
            now = stored_connection(context.tenant_id, rows[0]).connection
            for kind in verdict.events:
                await add_event(
                    transaction, context.tenant_id, context.profile_key, kind, now, verdict.at
                )
            return True

        return await self._engine.write(job)

    async def next_due(self) -> Micros | None:
        [row] = await self._engine.read(sql.NEXT_DUE)
        at: Micros | None = row["at"]
        return at

    async def pick_due(self, at: Micros, again_at: Micros, most: int, after: str) -> list[Due]:
        async def job(transaction: Transaction) -> list[Due]:
            tenants = await transaction.run(sql.TENANTS_WITH_DUE, after, at, most)
            if len(tenants) < most:
                # round again, from the first
                known = {row["tenant_id"] for row in tenants}
                more = await transaction.run(sql.TENANTS_WITH_DUE, "", at, most - len(tenants))
                tenants = [*tenants, *(row for row in more if row["tenant_id"] not in known)]
            picked: list[Due] = []
            for turn, row in enumerate(tenants):
                share = -(-(most - len(picked)) // (len(tenants) - turn))
                picked += [
                    Due(**one)
                    for one in await transaction.run(sql.DUE, row["tenant_id"], at, share)
                ]
            # one by one, by their keys: no plan of a database's can then go through all that is due
            for due in picked:
                await transaction.run(sql.PUT_OFF, *_of(due), again_at)
            return picked

        return await self._engine.write(job)

    async def bring_forward(self, at: Micros, latest: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.BRING_FORWARD, at, latest)

        await self._engine.write(job)

    async def put_off(self, due: Due, until: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.PUT_OFF, *_of(due), until)

        await self._engine.write(job)


def _stored(tenant_id: str, platform: str, rows: Sequence[Row]) -> StoredConnection:
    if not rows:
        raise ProfileNotFound
    if rows[0]["platform"] is None:
        raise PlatformNotConnected(platform)
    return stored_connection(tenant_id, rows[0])


def _of(due: Due) -> tuple[str, str, str]:
    return due.tenant_id, due.profile_key, due.platform


def _key(context: SecretAddress) -> tuple[str, str, str]:
    return context.tenant_id, context.profile_key, context.platform


def _held(held: StoredConnection) -> tuple[str, str, str, int, int]:
    return (*_key(held.context), held.context.generation, held.fence)
