"""Logins that were spent on accounts, whoever spent them."""

from service.domain.errors import ServiceError
from service.domain.model import DAY, SECOND, Micros
from service.domain.records import Allow, Debit
from service.storage.decoding import login_purpose
from service.storage.engine import Engine, Transaction
from service.storage.statements import login_budget as sql

DEBITS_KEPT: Micros = DAY + 20 * 3600 * SECOND
"""The longest window of a budget, and before it the time in which an earlier connect of the same
tenant makes one of that window a repeated one."""
LONGEST_PAUSE: Micros = DAY


class SqlLoginBudget:
    """The port `LoginBudgetStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def debit(self, debit: Debit, allow: Allow) -> None:
        account = (debit.account_id, debit.origin)

        async def job(transaction: Transaction) -> ServiceError | None:
            await transaction.run(sql.REDATE_DEBITS, debit.at)
            await transaction.run(sql.FORGET_DEBITS, debit.at - DEBITS_KEPT)
            await transaction.run(sql.FORGET_PAUSES, debit.at, debit.at + LONGEST_PAUSE)
            paused = await transaction.run(sql.PAUSE, *account)
            spent = [
                Debit(*account, row["tenant_id"], login_purpose(row["purpose"]), row["at"])
                for row in await transaction.run(sql.DEBITS, *account)
            ]
            known = await transaction.run(sql.CONNECTED_BY_TENANT, debit.tenant_id, *account)
            try:
                allow(spent, paused[0]["until"] if paused else None, bool(known))
            except ServiceError as refused:
                return refused  # not raised here: what was redated has to stay so
            await transaction.run(
                sql.ADD_DEBIT, *account, debit.tenant_id, debit.purpose.value, debit.at
            )
            return None

        if (refusal := await self._engine.write(job)) is not None:
            raise refusal

    async def pause_logins(self, account_id: str, origin: str, until: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            await transaction.run(sql.SAVE_PAUSE, account_id, origin, until, until + LONGEST_PAUSE)

        await self._engine.write(job)
