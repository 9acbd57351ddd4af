"""The sandbox of `serve --sandbox`: stand-ins for the platforms, and a tenant with a profile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from service.app.startup import StartError
from service.domain.clock import Clock
from service.domain.model import Profile, Tenant
from service.settings import Settings, is_loopback
from service.storage.store import SqlStore

SANDBOX_TENANT = "ten_sandbox"
SANDBOX_PROFILE = "prof_abc123"

log = structlog.get_logger()


@asynccontextmanager
async def open_sandbox(settings: Settings) -> AsyncIterator[Settings]:
    """Start stand-ins for the platforms on loopback; return settings that lead only to it.

    Raises StartError.
    """
    # imported here, so that a live service does not load it
    from service.sandbox.listener import AddressTaken
    from service.sandbox.sandbox import Sandbox

    if settings.is_postgres:
        raise StartError(
            "the sandbox is for a file of its own; name one in POSTCORE_DATABASE_URL, such as "
            "sqlite:///data/sandbox.db"
        )
    control_address = settings.sandbox_control_address
    chosen = "sandbox_control_address" in settings.model_fields_set
    if settings.sandbox_address.endswith(":0") and not chosen:
        # a free port for one address implies a free port for the other
        control_address = settings.sandbox_address
    addresses = settings.grpc_address, settings.http_address, settings.sandbox_address
    for address in (*addresses, control_address):
        if not is_loopback(address):
            raise StartError(f"the sandbox is for this machine alone; {address} is not loopback")
    sandbox = Sandbox()
    try:
        await sandbox.start(settings.sandbox_address, control_address)
    except AddressTaken as error:
        raise StartError(
            f"{error} POSTCORE_SANDBOX_ADDRESS and POSTCORE_SANDBOX_CONTROL_ADDRESS name others"
        ) from None
    origins = sandbox.first.origin, sandbox.second.origin
    sites = {site.platform: site.origin for site in sandbox.sites}
    log.info("sandbox is open", control=sandbox.control.address, servers=origins, **sites)
    try:
        yield settings.model_copy(
            update={
                "plc_url": origins[0],
                "handle_resolver_url": origins[0],
                "trusted_origins": (*origins, *sites.values()),
                "platform_origins": sites,
            }
        )
    finally:
        await sandbox.stop()


async def seed(store: SqlStore, clock: Clock) -> None:
    """Create the tenant and the profile of the documentation's examples."""
    now = clock.now()
    if SANDBOX_TENANT not in [tenant.tenant_id for tenant in await store.tenants.all()]:
        await store.tenants.create(Tenant(SANDBOX_TENANT, "sandbox", now))
    await store.profiles.create(SANDBOX_TENANT, Profile(SANDBOX_PROFILE, None, now))
