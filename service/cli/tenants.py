"""The commands `postcore tenants …` and `postcore api-keys …`."""

import click

from service.cli.console import fail, run, settings, text, time_of


@click.group()
def tenants() -> None:
    """The owners of profiles."""


@tenants.command("create")
@click.argument("name")
def create_tenant(name: str) -> None:
    """Create a tenant; prints its id."""
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

    click.echo(run(work()))


@tenants.command("list")
def list_tenants() -> None:
    """List the tenants: id, time of creation, name."""
    from service.app.startup import open_store

    async def work() -> None:
        async with open_store(settings()) as store:
            for tenant in await store.tenants.all():
                click.echo(f"{tenant.tenant_id}\t{time_of(tenant.created_at)}\t{tenant.name}")

    run(work())


@tenants.command("delete")
@click.argument("tenant_id", callback=text)
def delete_tenant(tenant_id: str) -> None:
    """Delete a tenant for good: keys, profiles, connections, stored credentials.

    Its sessions are ended at the platforms' servers, as far as those can be reached. App passwords
    stay valid there until their owners revoke them.
    """
    from service.app.build import build

    async def work() -> bool:
        async with build(settings()) as built:
            return await built.profiles.delete_tenant(tenant_id)

    if not run(work()):
        fail("there is no such tenant; list them: postcore tenants list")
    click.echo(f"deleted {tenant_id}", err=True)


@click.group("api-keys")
def api_keys() -> None:
    """The keys that callers present in x-api-key."""


@api_keys.command("create")
@click.option("--tenant", required=True, callback=text, help="The tenant's id.")
@click.option("--name", default="", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["profiles:read", "profiles:write", "sessions:lease"]),
    help="What it may do; default: profiles:read and profiles:write.",
)
def create_api_key(tenant: str, name: str, scopes: tuple[str, ...]) -> None:
    """Create a key; prints it alone, this once."""
    from service.access.api_keys import ApiKeys
    from service.app.startup import open_store, open_vault
    from service.crypto.keyring import Keyring
    from service.domain.clock import SystemClock
    from service.domain.model import DEFAULT_SCOPES, Scope

    if len(name) > 200 or (name and not name.isprintable()):
        fail("--name must be at most 200 printable characters")

    async def work() -> str | None:
        read = settings()
        keyring = Keyring(read.keyring_file)
        async with open_store(read) as store:
            await open_vault(store, keyring)
            plain, key = ApiKeys(store.api_keys, keyring, SystemClock()).mint(
                tenant, name, frozenset(map(Scope, scopes)) or DEFAULT_SCOPES
            )
            return plain if await store.api_keys.add(key) else None

    plain = run(work())
    if plain is None:
        fail("there is no such tenant; list them: postcore tenants list")
    click.echo(plain)


@api_keys.command("list")
@click.option("--tenant", required=True, callback=text, help="The tenant's id.")
def list_api_keys(tenant: str) -> None:
    """List a tenant's keys: id, state, time of creation, scopes, name."""
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
    """Revoke the key of this id (the part between pc_live_ and the next _), within 5 seconds."""
    from service.app.startup import open_store
    from service.domain.clock import SystemClock

    async def work() -> bool:
        async with open_store(settings()) as store:
            return await store.api_keys.revoke(key_id, SystemClock().now())

    if not run(work()):
        fail("there is no such key; list them: postcore api-keys list --tenant ID")
    click.echo(f"revoked {key_id}", err=True)
