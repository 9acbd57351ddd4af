"""The commands `postcore tenants …` and `postcore api-keys …`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

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


@tenants.command("set")
@click.argument("tenant_id", callback=text)
@click.option("--name", help="The name on its pages, as people know it.")
@click.option(
    "--logo", type=click.Path(path_type=Path), help="A PNG, JPEG or WebP file of at most 16 KiB."
)
@click.option("--colour", help="The colour of buttons, #rrggbb; white text must be readable on it.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="An origin that pages may lead back to, and be framed by; repeatable, replaces all.",
)
def set_tenant(
    tenant_id: str,
    name: str | None,
    logo: Path | None,
    colour: str | None,
    origins: tuple[str, ...],
) -> None:
    """Set what a tenant's connect pages show, and where they may lead.

    What is not named stays as it is; an empty value removes it.
    """
    from service.app.startup import open_store
    from service.domain.clock import SystemClock
    from service.domain.links import TenantPage

    given = _page_parts(name, logo, colour, origins)

    async def work() -> TenantPage | None:
        async with open_store(settings()) as store:
            before = await store.links.page(tenant_id)
            if before is None:
                return None
            page = replace(before, **given)
            now = SystemClock().now()
            return page if await store.links.set_page(tenant_id, page, now) else None

    with recorded_with_change("tenants set"):
        page = run(work())
    if page is None:
        fail("there is no such tenant; list them: postcore tenants list")
    shown = {"name": page.name, "logo": f"{len(page.logo)} characters", "colour": page.colour}
    for part, value in {**shown, "origins": " ".join(page.origins)}.items():
        click.echo(f"{part}={value}", err=True)


def _page_parts(
    name: str | None, logo: Path | None, colour: str | None, origins: tuple[str, ...]
) -> dict[str, Any]:
    """Return the given parts of a tenant's page, checked."""
    from service.domain.branding import colour_of, logo_of
    from service.domain.links import MAX_APP_NAME_LENGTH, fault_of_name, registered_origin

    given: dict[str, Any] = {}
    option = "--name"
    try:
        if name is not None:
            if name and (fault := fault_of_name(name, MAX_APP_NAME_LENGTH)):
                raise ValueError(fault)
            given["name"] = name.strip()
        option = "--logo"
        if logo is not None:
            given["logo"] = logo_of(logo.read_bytes()) if str(logo) not in ("", ".") else ""
        option = "--colour"
        if colour is not None:
            given["colour"] = colour_of(colour) if colour else ""
        option = "--origin"
        if origins:
            given["origins"] = tuple(
                dict.fromkeys(registered_origin(each) for each in origins if each)
            )
    except OSError:
        fail(f"{option}: the file cannot be read")
    except ValueError as error:
        fail(f"{option} {error}")
    return given


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
