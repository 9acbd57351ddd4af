"""Look-up limits: how often a tenant may have platforms asked who an account is.

A look-up costs no login and needs no password, but asks other people's servers in the operator's
name.
"""

from service.domain.errors import RateLimitExceeded
from service.runtime.token_buckets import Buckets

TENANT_BURST_SECONDS, HOST_BURST_SECONDS = 5, 3
"""How many seconds' worth of look-ups may be made at once after a pause."""
EXEMPT_PART = 0.5
"""A tenant with this part of its own burst left is exempt from the host's limit, which others may
have used up."""


def domain_of(host: str) -> str:
    """Return the last two labels of *host*: all names below them may be on the same servers.

    Under a public suffix of two labels, unrelated names share a limit; tenants that make few
    look-ups still pass.
    """
    return ".".join(host.split(".")[-2:])


class LookupLimits:
    """Limits look-ups a second: by tenant, and of all tenants together by host."""

    def __init__(self, per_tenant: int, per_host: int) -> None:
        self._tenants = Buckets(per_tenant, per_tenant * TENANT_BURST_SECONDS)
        self._hosts = Buckets(per_host, per_host * HOST_BURST_SECONDS)

    def take(self, tenant_id: str, host: str) -> None:
        """Count a look-up of *tenant_id* at *host*. Raises RateLimitExceeded, and counts none."""
        is_exempt = self._tenants.left(tenant_id) >= EXEMPT_PART * self._tenants.burst
        wait = self._tenants.wait(tenant_id)
        if not is_exempt:
            wait = max(wait, self._hosts.wait(host))
        if wait:
            raise RateLimitExceeded(wait)
        self._tenants.take(tenant_id)
        self._hosts.take(host)
