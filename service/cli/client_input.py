"""Input of `postcore client`: arguments, and secrets, which come from anywhere but arguments."""

import sys

import click

from postcore.profiles.v1 import profile_service_pb2 as pb

MAX_LINE_BYTES = 64 * 1024
"""As large as a request may be."""


def printable(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return an argument; reject what no field of the contract can hold."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("must be printable characters")
    return value


def fields_of_argument(
    context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    """Return FIELD=VALUE arguments by the field's name in the contract.

    Errors repeat no argument: it may be a secret.
    """
    by_name = {
        name: field
        for field in pb.Credentials.DESCRIPTOR.fields
        for name in (field.name, field.json_name)
    }
    fields: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        field = by_name.get(name)
        if not separator or field is None:
            known = sorted({field.json_name for field in by_name.values()})
            raise click.BadParameter(f"must be FIELD=VALUE, with FIELD one of {', '.join(known)}")
        if field.GetOptions().debug_redact:
            raise click.BadParameter(
                f"{name} is a secret, which other users can see in a command's arguments:"
                " leave it out, to be asked for it, or give --secret-stdin"
            )
        printable(context, parameter, value)
        fields[field.name] = value
    return fields


def line_of_text(name: str, label: str) -> str:
    """Ask for a field that is no secret."""
    if not _is_terminal():
        raise click.UsageError(f"{label} is missing: give {name}=…")
    asked: str = click.prompt(label, err=True)
    return asked


def line_of_secret(label: str, *, from_stdin: bool) -> str:
    """Return a secret: asked for without echo at a terminal, else the next line of standard input
    if *from_stdin*."""
    if _is_terminal():
        asked: str = click.prompt(label, hide_input=True, err=True)
        return asked
    if not from_stdin:
        raise click.UsageError(
            f"{label} is missing: run this in a terminal, or give --secret-stdin"
        )
    line = sys.stdin.buffer.readline(MAX_LINE_BYTES + 1) if sys.stdin else b""
    if len(line) > MAX_LINE_BYTES:
        raise click.UsageError(f"{label}: the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{label}: standard input is not UTF-8") from None
    if not text:
        raise click.UsageError(f"{label}: standard input is empty")
    return text


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
