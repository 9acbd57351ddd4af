"""The commands `postcore audit …`: who did what, when, and how it ended."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import fail, run, settings, text

if TYPE_CHECKING:
    from service.domain.audit import AuditRow

PAGE_SIZE = 1_000
LATEST = 2**62


def _micros(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Convert an ISO 8601 time, in UTC if it names no zone, to microseconds since the epoch."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("must be a time in ISO 8601, such as 2026-01-31T12:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    # in whole numbers: a float would round microseconds
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@click.group(invoke_without_command=True)
@click.option("--tenant", callback=lambda c, p, v: v and text(c, p, v), help="The tenant's id.")
@click.option("--since", callback=_micros, help="Start time in ISO 8601; UTC if it names no zone.")
@click.option("--until", callback=_micros, help="End time, not included.")
@click.option("--profile", help="Only rows of this profile key.")
@click.option("--key", help="Only rows of this API key's id.")
@click.option("--method", help="Only rows of this method or command, such as ConnectProfile.")
@click.pass_context
def audit(
    context: click.Context,
    tenant: str | None,
    since: int | None,
    until: int | None,
    profile: str | None,
    key: str | None,
    method: str | None,
) -> None:
    """Print the audit trail as JSON lines, in order of time.

    A line has what is known of: at, tenant_id, method, outcome, key_id, operator, peer,
    profile_key, platform, account_id, lent, expires_at, request_id, left_out, number. Without
    --tenant, prints the rows of all tenants, of unknown keys and of commands. Rows are kept for
    POSTCORE_AUDIT_DAYS; a server writes a new one within a second.
    """
    if context.invoked_subcommand:
        return
    from service.app.startup import open_store

    wanted = {"profile_key": profile, "key_id": key, "method": method}

    async def work() -> None:
        at, after = since or 0, 0
        async with open_store(settings()) as store:
            while page := await store.audit.page(tenant, at, after, until or LATEST, PAGE_SIZE):
                for row in page:
                    if all(getattr(row, name) == value for name, value in wanted.items() if value):
                        click.echo(json.dumps(_shown(row)))
                at, after = page[-1].at, page[-1].number

    run(work())


def _shown(row: "AuditRow") -> dict[str, str | int]:
    """Return what *row* knows, by column."""
    times = {"at": _time(row.at), "expires_at": _time(row.expires_at) if row.expires_at else ""}
    return {name: value for name, value in {**row._asdict(), **times}.items() if value}


@audit.command()
@click.argument("cursor_file", type=click.Path(dir_okay=False, path_type=Path))
def export(cursor_file: Path) -> None:
    """Print the rows since the last export, for a SIEM.

    JSON lines with the field names of ECS (Elastic Common Schema), in the order of writing.
    CURSOR_FILE holds how far the last export has come; without that file, all rows are printed. It
    is replaced after each 1,000 rows that standard output has taken, so that an interrupted export
    repeats at most those: their event.id is the same then.
    """
    from service.app.startup import open_store

    try:
        after = int(cursor_file.read_text())
    except FileNotFoundError:
        after = 0
    except (OSError, ValueError):
        fail(f"{cursor_file} cannot be read, or is not the cursor of an export")

    async def work() -> None:
        number = after
        async with open_store(settings()) as store:
            while page := await store.audit.written_after(number, PAGE_SIZE):
                for row in page:
                    click.echo(json.dumps(_as_ecs(row)))
                number = page[-1].number
                _keep(cursor_file, number)

    run(work())


def _keep(file: Path, number: int) -> None:
    """Replace the cursor, durably. Fail if it cannot be written."""
    draft = file.with_name(f".{file.name}.draft")
    try:
        with draft.open("w") as written:
            written.write(f"{number}\n")
            written.flush()
            os.fsync(written.fileno())
        draft.replace(file)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}; the last rows will be repeated")


def _as_ecs(row: "AuditRow") -> dict[str, str | int | list[str]]:
    from service.domain.audit import OK, STARTED

    outcome = {OK: "success", STARTED: "unknown"}.get(row.outcome, "failure")
    fields: dict[str, str | int] = {
        "@timestamp": _time(row.at),
        "event.id": str(row.number),
        "event.kind": "event",
        "event.dataset": "postcore.audit",
        "event.action": row.method,
        "event.outcome": outcome,
        "event.reason": "" if row.outcome == OK else row.outcome,
        "organization.id": row.tenant_id,
        "user.id": row.key_id,
        "user.name": row.operator,
        "source.address": row.peer,
        "http.request.id": row.request_id,
        "postcore.profile_key": row.profile_key,
        "postcore.platform": row.platform,
        "postcore.account_id": row.account_id,
        "postcore.lent": row.lent,
        "postcore.expires_at": _time(row.expires_at) if row.expires_at else "",
        "postcore.left_out": row.left_out,
    }
    return {name: value for name, value in fields.items() if value}


def _time(micros: int) -> str:
    """Format a time as RFC 3339, in UTC, to the microsecond."""
    at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
    return at.isoformat(timespec="microseconds")
