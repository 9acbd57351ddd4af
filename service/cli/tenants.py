"""The commands `postcore tenants …` and `postcore api-keys …`."""

import click

from service.cli.auditing import recorded_with_change
from service.cli.console import fail, run, settings, text, time_of


@click.group()
def tenants() -> None:
    """The owners of profiles."""


@tenants.command("create")
@click.argument("name")
def create_tenant(name: str) -> None:
    """Create a tenant and print its id."""
    from service.app.startup import open_store
    from service.domain.clock import SystemClock
    from service.domain.ids import random_id
    from service.domain.model import Tenant

    if not name.strip() or len(name) > 200 or not name.isprintable():
        fail("NAME must be 1 to 200 printable characters")

    async def work() -> str:
        tenant = Tenant(f"ten_{random_id()}", name, SystemClock().now())
        async with open_store(settings()) as store:
            await store.tenants.create(tenant)
        return tenant.tenant_id

    with recorded_with_change("tenants create"):
        click.echo(run(work()))


@tenants.command("list")
def list_tenants() -> None:
    """List the tenants.

    Each line has the tenant's id, time of creation and name.
    """
    from service.app.startup import open_store

    async def work() -> None:
        async with open_store(settings()) as store:
            for tenant in await store.tenants.all():
                click.echo(f"{tenant.tenant_id}\t{time_of(tenant.created_at)}\t{tenant.name}")

    run(work())


@tenants.command("delete")
@click.argument("tenant_id", callback=text)
def delete_tenant(tenant_id: str) -> None:
    """Delete a tenant and all its data.

    Deletes its API keys, profiles, connections and stored credentials, and ends its sessions at
    platforms' servers that can be reached. App passwords stay valid until their owners revoke them.
    """
    from service.app.build import build

    async def work() -> bool:
        async with build(settings()) as built:
            return await built.profiles.delete_tenant(tenant_id)

    with recorded_with_change("tenants delete"):
        is_deleted = run(work())
    if not is_deleted:
        fail("there is no such tenant; list them: postcore tenants list")
    click.echo(f"deleted {tenant_id}", err=True)


@click.group("api-keys")
def api_keys() -> None:
    """The keys that callers present in x-api-key."""


@api_keys.command("create")
@click.option("--tenant", required=True, callback=text, help="The tenant's id.")
@click.option("--name", default="", help="A name for the key.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(
        ["profiles:read", "profiles:write", "sessions:lease", "credentials:lease", "webhooks:write"]
    ),
    help="A scope of the key, repeatable; default: profiles:read and profiles:write.",
)
def create_api_key(tenant: str, name: str, scopes: tuple[str, ...]) -> None:
    """Create an API key and print it.

    The key cannot be printed again.
    """
    from service.app.startup import create_api_key as create
    from service.domain.model import DEFAULT_SCOPES, Scope

    if len(name) > 200 or (name and not name.isprintable()):
        fail("--name must be at most 200 printable characters")

    granted = frozenset(map(Scope, scopes)) or DEFAULT_SCOPES
    with recorded_with_change("api-keys create"):
        plain = run(create(settings(), tenant, name, granted))
    if plain is None:
        fail("there is no such tenant; list them: postcore tenants list")
    click.echo(plain)


@api_keys.command("list")
@click.option("--tenant", required=True, callback=text, help="The tenant's id.")
def list_api_keys(tenant: str) -> None:
    """List a tenant's API keys.

    Each line has the key's id, state, time of creation, scopes and name.
    """
    from service.app.startup import open_store

    async def work() -> None:
        async with open_store(settings()) as store:
            for key in await store.api_keys.of_tenant(tenant):
                state = "live" if key.revoked_at is None else f"revoked {time_of(key.revoked_at)}"
                scopes = ",".join(sorted(key.scopes))
                click.echo(
                    f"{key.key_id}\t{state}\t{time_of(key.created_at)}\t{scopes}\t{key.name}"
                )

    run(work())


@api_keys.command("revoke")
@click.argument("key_id", callback=text)
def revoke_api_key(key_id: str) -> None:
    """Revoke an API key within 5 seconds.

    KEY_ID is the part of the key between pc_live_ and the next underscore.
    """
    from service.app.startup import open_store
    from service.domain.clock import SystemClock

    async def work() -> bool:
        async with open_store(settings()) as store:
            return await store.api_keys.revoke(key_id, SystemClock().now())

    with recorded_with_change("api-keys revoke"):
        is_revoked = run(work())
    if not is_revoked:
        fail("there is no such key; list them: postcore api-keys list --tenant ID")
    click.echo(f"revoked {key_id}", err=True)
