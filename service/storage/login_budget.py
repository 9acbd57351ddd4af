"""Logins spent on accounts, by all tenants."""

from service.domain.errors import ServiceError
from service.domain.model import DAY, SECOND, Micros
from service.domain.records import Allow, Debit
from service.storage.decoding import login_purpose
from service.storage.engine import Engine, Transaction
from service.storage.statements import login_budget as sql

DEBITS_KEPT: Micros = DAY + 20 * 3600 * SECOND
"""The longest window of a budget (a day), and the 20 hours before it: a connect in them makes a
later one of the same tenant a repeated one."""
MAX_PAUSE: Micros = DAY
MAX_CLOCK_DIFFERENCE: Micros = DAY
"""Of two processes. The clean-up redates only what is later than now by more than that."""
BATCH = 500
"""Rows of each kind that one transaction of the clean-up changes."""


class SqlLoginBudget:
    """The port `LoginBudgetStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def debit(self, debit: Debit, allow: Allow) -> None:
        account = (debit.account_id, debit.origin)

        async def job(transaction: Transaction) -> ServiceError | None:
            await transaction.run(sql.REDATE_DEBITS, *account, debit.at)
            await transaction.run(sql.DROP_INVALID_PAUSE, *account, debit.at + MAX_PAUSE)
            paused = await transaction.run(sql.PAUSE, *account, debit.at)
            spent = [
                Debit(*account, row["tenant_id"], login_purpose(row["purpose"]), row["at"])
                for row in await transaction.run(sql.DEBITS, *account, debit.at - DEBITS_KEPT)
            ]
            known = await transaction.run(sql.CONNECTED_BY_TENANT, debit.tenant_id, *account)
            try:
                allow(spent, paused[0]["until"] if paused else None, bool(known))
            except ServiceError as refused:
                return refused  # raised after the commit, which keeps the redated debits
            await transaction.run(
                sql.ADD_DEBIT, *account, debit.tenant_id, debit.purpose.value, debit.at
            )
            return None

        if (refusal := await self._engine.write(job)) is not None:
            raise refusal

    async def add_rejection(self, rejection: Debit) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(
                sql.ADD_DEBIT,
                *_of_site(rejection.origin),
                rejection.tenant_id,
                rejection.purpose.value,
                rejection.at,
            )

        await self._engine.write(job)

    async def rejections(self, origin: str, since: Micros) -> list[Debit]:
        site = _of_site(origin)
        rows = await self._engine.read(sql.DEBITS, *site, since)
        return [
            Debit(*site, row["tenant_id"], login_purpose(row["purpose"]), row["at"]) for row in rows
        ]

    async def pause_logins(self, account_id: str, origin: str, until: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.SAVE_PAUSE, account_id, origin, until, until + MAX_PAUSE)

        await self._engine.write(job)

    async def delete_expired(self, at: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            changed = [
                await transaction.run(sql.REDATE_BATCH, at, at + MAX_CLOCK_DIFFERENCE, BATCH),
                await transaction.run(sql.DELETE_DEBITS, at - DEBITS_KEPT, BATCH),
                await transaction.run(sql.DELETE_PAUSES, at, at + MAX_PAUSE, BATCH),
            ]
            return max(map(len, changed)) >= BATCH

        return await self._engine.write(job)


def _of_site(origin: str) -> tuple[str, str]:
    """Return the key of a site's rejections. No account's id is an origin alone."""
    return origin, origin
