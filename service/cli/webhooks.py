"""The commands `postcore webhooks …`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from service.cli.auditing import recorded_with_change
from service.cli.console import fail, run, settings, text, time_of

if TYPE_CHECKING:  # loaded late: these take time
    from service.app.build import Application
    from service.domain.webhooks import Webhook

tenant_option = click.option("--tenant", required=True, callback=text, help="The tenant's id.")
webhook_argument = click.argument("webhook_id", callback=text)


@click.group()
def webhooks() -> None:
    """Servers that a tenant's events are sent to."""


@asynccontextmanager
async def _opened() -> AsyncIterator["Application"]:
    """Open the webhooks; report what is wrong with a request as one sentence."""
    from service.app.build import build
    from service.domain.errors import InvalidApiKey, ServiceError, ServiceUnavailable

    async with build(settings()) as built:
        try:
            yield built
        except ServiceUnavailable:
            raise
        except InvalidApiKey:  # what a caller's key would be, whose tenant was deleted
            fail("there is no such tenant; list them: postcore tenants list")
        except ServiceError as error:
            fail(error.message)


@webhooks.command("create")
@tenant_option
@click.option("--url", required=True, callback=text, help="Where to send messages: https.")
@click.option(
    "--event",
    "events",
    multiple=True,
    callback=lambda context, option, given: tuple(text(context, option, one) for one in given),
    help="A type of message, such as connection.broken, repeatable; default: all.",
)
def create_webhook(tenant: str, url: str, events: tuple[str, ...]) -> None:
    """Create a webhook, and print its id and its secret.

    The secret cannot be printed again. `rotate` makes another.
    """

    async def work() -> str:
        async with _opened() as opened:
            created = await opened.webhooks.create(tenant, url, events)
        return f"{created.webhook.webhook_id}\t{created.secret}"

    with recorded_with_change("webhooks create"):
        click.echo(run(work()))


@webhooks.command("list")
@tenant_option
def list_webhooks(tenant: str) -> None:
    """List a tenant's webhooks.

    Each line has the webhook's id, state, time of creation, types of messages and URL.
    """

    async def work() -> "list[Webhook]":
        async with _opened() as opened:
            return await opened.webhooks.list(tenant)

    for each in run(work()):
        state = f"disabled {each.disabled_reason}" if each.disabled_reason else "enabled"
        if each.failing_since and not each.disabled_reason:
            state = f"failing since {time_of(each.failing_since)}"
        types = ",".join(each.event_types) or "all"
        click.echo(f"{each.webhook_id}\t{state}\t{time_of(each.created_at)}\t{types}\t{each.url}")


@webhooks.command("test")
@tenant_option
@webhook_argument
def test_webhook(tenant: str, webhook_id: str) -> None:
    """Send a test message once.

    The exit code is 1 if the receiver does not accept it.
    """

    async def work() -> str:
        async with _opened() as opened:
            outcome = await opened.webhooks.test(tenant, webhook_id)
        status = f" (HTTP {outcome.http_status})" if outcome.http_status else ""
        return "" if outcome.delivered else f"not delivered: {outcome.cause}{status}"

    if fault := run(work()):
        fail(fault)
    click.echo("delivered", err=True)


@webhooks.command("rotate")
@tenant_option
@webhook_argument
def rotate_secret(tenant: str, webhook_id: str) -> None:
    """Make a new secret and print it.

    Messages are signed with the former secret as well for 24 hours.
    """

    async def work() -> str:
        async with _opened() as opened:
            return (await opened.webhooks.rotate(tenant, webhook_id)).secret

    with recorded_with_change("webhooks rotate"):
        click.echo(run(work()))


@webhooks.command("enable")
@tenant_option
@webhook_argument
def enable_webhook(tenant: str, webhook_id: str) -> None:
    """Enable a webhook that was disabled; try at once what waits."""

    async def work() -> None:
        async with _opened() as opened:
            await opened.webhooks.enable(tenant, webhook_id)

    with recorded_with_change("webhooks enable"):
        run(work())
    click.echo(f"enabled {webhook_id}", err=True)


@webhooks.command("delete")
@tenant_option
@webhook_argument
def delete_webhook(tenant: str, webhook_id: str) -> None:
    """Delete a webhook, with its secrets and the messages that wait."""

    async def work() -> None:
        async with _opened() as opened:
            await opened.webhooks.delete(tenant, webhook_id)

    with recorded_with_change("webhooks delete"):
        run(work())
    click.echo(f"deleted {webhook_id}", err=True)


@webhooks.command("failed")
@tenant_option
@webhook_argument
def list_failed(tenant: str, webhook_id: str) -> None:
    """List the messages that were given up.

    Each line has the message's id, type, profile, number of tries, the time it was given up, and
    why the last try failed.
    """

    async def work() -> None:
        token = ""
        async with _opened() as opened:
            while True:
                page = await opened.webhooks.failed(tenant, webhook_id, 1000, token)
                for each in page.deliveries:
                    why = f"{each.cause} {each.http_status}" if each.http_status else each.cause
                    click.echo(
                        f"{each.message_id}\t{each.event_type}\t{each.profile_key}\t"
                        f"{each.attempts}\t{time_of(each.failed_at or 0)}\t{why}"
                    )
                token = page.next_page_token
                if not token:
                    return

    run(work())


@webhooks.command("replay")
@tenant_option
@webhook_argument
@click.option("--message", callback=lambda c, p, v: v and text(c, p, v), help="The message's id.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    help="A time in UTC, such as 2026-01-02T03:04:05Z: events since then.",
)
def replay_messages(
    tenant: str, webhook_id: str, message: str | None, since: datetime | None
) -> None:
    """Send messages again: one, or those of the events since a time.

    Prints how many were queued: at most 1,000.
    """

    async def work() -> int:
        at = None if since is None else int(since.replace(tzinfo=UTC).timestamp()) * 1_000_000
        async with _opened() as opened:
            return await opened.webhooks.replay(tenant, webhook_id, since=at, message_id=message)

    with recorded_with_change("webhooks replay"):
        click.echo(run(work()))
