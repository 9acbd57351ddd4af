"""Connect links, and what tenants have registered for their pages."""

from service.domain.errors import ConnectLinkNotFound, InvalidApiKey, ProfileNotFound
from service.domain.links import ConnectLink, NewLink, TenantPage
from service.domain.model import Micros
from service.storage.audit import write_audited
from service.storage.engine import Engine, Row, Transaction
from service.storage.events import BATCH
from service.storage.idempotency import complete
from service.storage.statements import links as sql
from service.storage.statements.profiles import PROFILE
from service.storage.statements.tenants import TENANT_EXISTS

IN_LINK = len(ConnectLink.__dataclass_fields__)
ADDED = tuple(ConnectLink.__dataclass_fields__)[:11]
"""The fields of a new link, in the order of the statement; the rest have their defaults."""


class SqlConnectLinks:
    """The port `ConnectLinkStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, new: NewLink) -> None:
        link = new.link

        async def job(transaction: Transaction) -> None:
            if not await transaction.run(TENANT_EXISTS, link.tenant_id):
                raise InvalidApiKey
            if link.profile_key is not None and not await transaction.run(
                PROFILE, link.tenant_id, link.profile_key
            ):
                raise ProfileNotFound
            await transaction.run(
                sql.ADD_LINK,
                *(getattr(link, name) for name in ADDED),
                new.secret.digest,
                new.secret.ring_key_id,
            )
            reply = (link.link_id, str(link.expires_at), new.secret.ring_key_id)
            await complete(transaction, new.reservation, link.profile_key, reply, link.created_at)

        await write_audited(
            self._engine,
            job,
            link.created_at,
            profile_key=link.profile_key or "",
            platform=link.platform,
        )

    async def get(self, digest: bytes) -> tuple[ConnectLink, TenantPage] | None:
        rows = await self._engine.get_by_key(sql.LINK, digest)
        return _link(rows[0]) if rows else None

    async def take_try(self, tenant_id: str, link_id: str, most: int, at: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            return bool(await transaction.run(sql.TAKE_TRY, tenant_id, link_id, most, at))

        return await self._engine.write(job)

    async def revoke(self, tenant_id: str, link_id: str, at: Micros) -> None:
        async def job(transaction: Transaction) -> None:
            if not await transaction.run(sql.REVOKE_LINK, tenant_id, link_id, at):
                raise ConnectLinkNotFound

        await write_audited(self._engine, job, at)

    async def delete_expired(self, before: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            return len(await transaction.run(sql.DELETE_EXPIRED_LINKS, before, BATCH)) == BATCH

        return await self._engine.write(job)

    async def page(self, tenant_id: str) -> TenantPage | None:
        if not await self._engine.read(TENANT_EXISTS, tenant_id):
            return None
        rows = await self._engine.read(sql.TENANT_PAGE, tenant_id)
        return _page(rows[0]) if rows else TenantPage()

    async def set_page(self, tenant_id: str, page: TenantPage, at: Micros) -> bool:
        async def job(transaction: Transaction) -> bool:
            if not await transaction.run(TENANT_EXISTS, tenant_id):
                return False
            values = (page.name, page.logo, page.colour, " ".join(page.origins))
            await transaction.run(sql.SET_TENANT_PAGE, tenant_id, *values)
            return True

        return await write_audited(self._engine, job, at, bool, tenant_id=tenant_id)


def _link(row: Row) -> tuple[ConnectLink, TenantPage]:
    of_page = row[IN_LINK:]
    return ConnectLink(*row[:IN_LINK]), _page(row) if of_page[0] is not None else TenantPage()


def _page(row: Row) -> TenantPage:
    return TenantPage(row["name"], row["logo"], row["colour"], tuple(row["origins"].split()))
