"""Output of `postcore client`: replies as JSON on standard output."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from service.cli.client_failure import Failure, Kind
from service.runtime import standard_streams

STANDARD_OUTPUT = 1
"""The file descriptor."""


def show(message: Message) -> None:
    """Print *message* as one JSON document for a person."""
    _write(json.dumps(_as_json(message), indent=2))


def show_line(message: Message) -> None:
    """Print *message* as one line of JSON."""
    _write(json.dumps(_as_json(message), separators=(",", ":")))


def _as_json(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return fields


def _write(text: str) -> None:
    """Print *text*, which is ASCII: nothing that a stranger typed can control a terminal."""
    try:
        click.echo(text)
    except BrokenPipeError:
        _end_without_reader()
    except OSError as error:
        standard_streams.discard(sys.stdout)
        raise Failure(Kind.OTHER, f"standard output: {error.strerror}") from None


@asynccontextmanager
async def until_output_closes() -> AsyncIterator[None]:
    """Cancel the block when the reader of standard output ends, as in `… | head -1`.

    Without this, only the next write would notice. Where standard output is no pipe, this does
    nothing.
    """
    loop, task, out = asyncio.get_running_loop(), asyncio.current_task(), STANDARD_OUTPUT
    assert task is not None
    if not stat.S_ISFIFO(os.fstat(out).st_mode):
        yield
        return
    closed = asyncio.Event()

    def note() -> None:
        loop.remove_reader(out)
        closed.set()
        task.cancel()

    loop.add_reader(out, note)
    try:
        yield
    except asyncio.CancelledError:
        if not closed.is_set():
            raise
        _end_without_reader()
    finally:
        loop.remove_reader(out)


def _end_without_reader() -> None:
    """End as a process does whose reader has gone: quietly, with the code of SIGPIPE."""
    standard_streams.discard(sys.stdout)
    raise click.exceptions.Exit(128 + signal.SIGPIPE)
