"""Look-ups: how often platforms are asked who an account is, by tenant and by host.

A look-up costs no login and needs no password. It asks other people's servers in the operator's
name, so a tenant cannot make any number of them.
"""

from service.domain.errors import RateLimitExceeded
from service.runtime.token_buckets import Buckets

TENANT_BURST_SECONDS, HOST_BURST_SECONDS = 5, 3
"""How many seconds' worth of look-ups may be made at once after a pause."""
SMALL_PART = 0.5
"""A tenant with so much of its own budget left passes although others have used the host's up."""


class LookupLimits:
    """So many look-ups a second of each tenant, and of all tenants at each host."""

    def __init__(self, per_tenant: int, per_host: int) -> None:
        self._tenants = Buckets(per_tenant, per_tenant * TENANT_BURST_SECONDS)
        self._hosts = Buckets(per_host, per_host * HOST_BURST_SECONDS)

    def take(self, tenant_id: str, host: str) -> None:
        """Count a look-up of *tenant_id* at *host*. Raises RateLimitExceeded, and counts none."""
        is_small = self._tenants.left(tenant_id) >= SMALL_PART * self._tenants.burst
        wait = self._tenants.wait(tenant_id)
        if not is_small:
            wait = max(wait, self._hosts.wait(host))
        if wait:
            raise RateLimitExceeded(wait)
        self._tenants.take(tenant_id)
        self._hosts.take(host)
