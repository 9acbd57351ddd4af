"""The store: the port `Store` in SQL, on any engine."""

from collections.abc import Callable

from service.storage.connections import Connections
from service.storage.engine import Engine
from service.storage.events import Events
from service.storage.idempotency import Requests
from service.storage.lease_audit import Leases
from service.storage.login_budget import Logins
from service.storage.profiles import Profiles
from service.storage.secrets import Secrets
from service.storage.tenants import Tenants


class SqlStore(Tenants, Profiles, Connections, Events, Leases, Requests, Logins, Secrets):
    """All its parts on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_commit(self, call: Callable[[], None]) -> None:
        self._engine.on_commit(call)

    async def close(self) -> None:
        await self._engine.close()
