"""Idempotency keys, and the replies to their requests."""

import json

from service.domain.model import DAY, Micros
from service.domain.records import EarlierRequest, Fingerprint, Reservation
from service.storage.decoding import reply_from_json
from service.storage.engine import Engine, Row, Statement, Transaction
from service.storage.statements import idempotency as sql

REPEATED_FOR: Micros = DAY
BATCH = 1000


class SqlIdempotency:
    """The port `IdempotencyStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def reserve(
        self, reservation: Reservation, fingerprint: Fingerprint, at: Micros, until: Micros
    ) -> EarlierRequest | None:
        async def job(transaction: Transaction) -> EarlierRequest | None:
            key = _of_request(reservation)
            if rows := await transaction.run(sql.EARLIER_REQUEST, *key, at):
                return _earlier_request(rows[0])
            await transaction.run(sql.FREE_EXPIRED, *key, at)
            await transaction.run(
                sql.RESERVE,
                *key,
                reservation.holder,
                fingerprint.ring_key_id,
                fingerprint.digest,
                until,
            )
            return None

        return await self._engine.write(job)

    async def earlier_request(self, reservation: Reservation, at: Micros) -> EarlierRequest | None:
        rows = await self._engine.read(sql.EARLIER_REQUEST, *_of_request(reservation), at)
        return _earlier_request(rows[0]) if rows else None

    async def release(self, reservation: Reservation) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.RELEASE, *_of_request(reservation), reservation.holder)

        await self._engine.write(job)

    async def release_all(self) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.RELEASE_ALL)

        await self._engine.write(job)

    async def delete_expired(self, at: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            return len(await transaction.run(sql.DELETE_EXPIRED_REQUESTS, at, BATCH)) == BATCH

        return await self._engine.write(job)


async def complete(
    transaction: Transaction,
    reservation: Reservation | None,
    profile_key: str | None,
    reply: tuple[str | None, ...],
    at: Micros,
) -> None:
    """Write the reply, in the transaction of the work itself."""
    for statement in completion(reservation, profile_key, reply, at):
        await transaction.run(*statement)


def completion(
    reservation: Reservation | None,
    profile_key: str | None,
    reply: tuple[str | None, ...],
    at: Micros,
) -> list[Statement]:
    """Return the statement of `complete`, if there is one."""
    if reservation is None:
        return []
    of_request = (*_of_request(reservation), reservation.holder)
    return [(sql.COMPLETE, *of_request, profile_key, json.dumps(reply), at + REPEATED_FOR)]


def _of_request(reservation: Reservation) -> tuple[str, str, str]:
    return reservation.tenant_id, reservation.method, reservation.idempotency_key


def _earlier_request(row: Row) -> EarlierRequest:
    reply = None if row["reply"] is None else reply_from_json(row["reply"])
    return EarlierRequest(Fingerprint(row["ring_key_id"], bytes(row["digest"])), reply)
