"""The store: the port `Store` in SQL, on any engine."""

from service.storage.connections import Connections
from service.storage.engine import Engine
from service.storage.leases import Leases
from service.storage.logins import Logins
from service.storage.profiles import Profiles
from service.storage.requests import Requests
from service.storage.tenants import Tenants


class SqlStore(Tenants, Profiles, Connections, Leases, Requests, Logins):
    """All its parts on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def close(self) -> None:
        await self._engine.close()
