"""What all commands share: settings, the event loop, and errors reported as one sentence."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click

from service.cli.stop_signals import StopSignals
from service.settings import ConfigError, Settings

T = TypeVar("T")


def fail(sentence: str) -> NoReturn:
    """End the command with *sentence* on standard error and exit code 1."""
    raise click.ClickException(sentence)


def settings() -> Settings:
    """Read the settings and configure the log; report all errors in them at once."""
    from service.runtime import log

    try:
        read = Settings.read()
    except ConfigError as error:
        fail(faults(error))
    log.configure(read.log_format, read.log_level)
    log.log_uncaught()
    return read


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* as `run_until_stopped` does, and return its result; report operator errors."""
    with operator_errors():
        return run_until_stopped(work)


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* in an event loop and return its result.

    The first stop signal cancels *work*; if that ends it, the process exits with the signal's code.
    """
    import uvloop

    signals = StopSignals.of_process()
    try:
        return uvloop.run(_cancelled_by(signals, work))
    except asyncio.CancelledError:
        if signals.exit_code is None:
            raise
        sys.exit(signals.exit_code)


async def _cancelled_by(signals: StopSignals, work: Coroutine[Any, Any, T]) -> T:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    outer = signals.cancel

    def cancel() -> None:
        # `task.cancel()` alone would not wake a loop that waits
        loop.call_soon_threadsafe(task.cancel)

    signals.cancel = cancel
    try:
        return await work
    finally:
        signals.cancel = outer


async def until_stop_signal() -> None:
    """Wait for the first stop signal, then return instead of being cancelled: for work that drains
    before it ends."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        if StopSignals.of_process().exit_code is None:
            raise
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


@contextmanager
def operator_errors() -> Iterator[None]:
    """Report an error that an operator can correct as one sentence, with exit code 1."""
    from service.app.startup import OPERATOR_ERRORS
    from service.domain.errors import ServiceUnavailable

    try:
        yield
    except OPERATOR_ERRORS as error:
        fail(str(error))
    except ServiceUnavailable as error:
        fail(f"the database cannot be used at the moment ({error.why})")


def faults(error: ConfigError) -> str:
    return "the settings are not right:\n  " + "\n  ".join(error.faults)


def text(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return an argument that names something stored; reject what is not printable.

    Databases reject arguments that are not UTF-8, which Python decodes to unprintable characters.
    """
    if not value.isprintable():
        raise click.BadParameter("must be printable characters")
    return value


def time_of(micros: int) -> str:
    """Format a time as RFC 3339, in UTC, to the second."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="seconds")
