"""The command `postcore leases`: the audit of sessions that were lent."""

from datetime import UTC, datetime, timedelta

import click

from service.cli.console import run, settings, text, time_of
from service.domain.model import Lent

PAGE_SIZE = 1_000


def _since(_: click.Context, __: click.Parameter, value: str | None) -> int:
    """Convert an ISO 8601 time, in UTC if it names no zone, to microseconds since the epoch."""
    if value is None:
        return 0
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("must be a time in ISO 8601, such as 2026-01-31T12:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    # in whole numbers: a float would round microseconds
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@click.command("leases")
@click.option("--tenant", required=True, callback=text, help="The tenant's id.")
@click.option("--since", callback=_since, help="Start time in ISO 8601; UTC if it names no zone.")
def list_leases(tenant: str, since: int) -> None:
    """List the leases of a tenant's sessions.

    Oldest first. Each line has the time, the API key's id, the profile, its platform and account,
    the time at which the token expires (a dash for a credential, which does not), and what was
    lent: SESSION or CREDENTIAL. Leases are kept for POSTCORE_LEASE_AUDIT_DAYS; a server writes a
    new one within a second.
    """
    from service.app.startup import open_store

    async def work() -> None:
        after = since
        async with open_store(settings()) as store:
            while page := await store.lease_audit.leases(tenant, after, PAGE_SIZE):
                for lease in page:
                    expires = "-" if lease.lent is Lent.CREDENTIAL else time_of(lease.expires_at)
                    click.echo(
                        f"{time_of(lease.at)}\t{lease.key_id}\t{lease.profile_key}\t{lease.platform}"
                        f"\t{lease.account_id}\t{expires}\t{lease.lent}"
                    )
                after = page[-1].at + 1

    run(work())
