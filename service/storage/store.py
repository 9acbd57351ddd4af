"""The store: every port of `service.domain.store` in SQL, on one engine."""

from service.storage.api_keys import SqlApiKeys
from service.storage.audit import SqlAudit
from service.storage.checks import SqlCheckQueue
from service.storage.connections import SqlConnections
from service.storage.engine import Engine, Usage
from service.storage.events import SqlEvents
from service.storage.facts import SqlFacts
from service.storage.idempotency import SqlIdempotency
from service.storage.links import SqlConnectLinks
from service.storage.login_budget import SqlLoginBudget
from service.storage.profiles import SqlProfiles
from service.storage.secrets import SqlSecrets
from service.storage.tenants import SqlTenants
from service.storage.webhook_queue import SqlWebhookQueue
from service.storage.webhooks import SqlWebhooks


class SqlStore:
    """The parts of the store, for the composition root. Other code gets the ports that it uses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.tenants = SqlTenants(engine)
        self.api_keys = SqlApiKeys(engine)
        self.profiles = SqlProfiles(engine)
        self.connections = SqlConnections(engine)
        self.checks = SqlCheckQueue(engine)
        self.events = SqlEvents(engine)
        self.audit = SqlAudit(engine)
        self.login_budget = SqlLoginBudget(engine)
        self.idempotency = SqlIdempotency(engine)
        self.facts = SqlFacts(engine)
        self.links = SqlConnectLinks(engine)
        self.secrets = SqlSecrets(engine)
        self.webhooks = SqlWebhooks(engine)
        self.webhook_queue = SqlWebhookQueue(engine)

    def usage(self) -> Usage:
        """Return the use of the database now."""
        return self._engine.usage()

    async def close(self) -> None:
        await self._engine.close()
