"""What every command does: reads the settings, runs its work, reports a fault as a sentence."""

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
    raise click.ClickException(sentence)


def settings() -> Settings:
    """The settings, every fault told at once, and the log as they ask."""
    from service.runtime import log

    try:
        read = Settings.read()
    except ConfigError as error:
        fail(faults(error))
    log.configure(read.log_format, read.log_level)
    log.tell_uncaught()
    return read


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* to its end; what an operator can mend is reported as a sentence.

    The first stop signal cancels *work*; if that ends it, the process exits with the signal's code.
    """
    import uvloop

    signals = StopSignals.of_process()
    with told():
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
        # a loop that waits would not notice `task.cancel()` alone
        loop.call_soon_threadsafe(task.cancel)

    signals.cancel = cancel
    try:
        return await work
    finally:
        signals.cancel = outer


async def until_stop_signal() -> None:
    """Wait for the first stop signal, and return: for work that ends in its own way, not at
    once."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        if StopSignals.of_process().exit_code is None:
            raise
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


@contextmanager
def told() -> Iterator[None]:
    """Report what stops the service, and an operator can mend, as a sentence."""
    from service.app.startup import StartError
    from service.crypto.keyring import KeyringError
    from service.domain.errors import ServiceUnavailable
    from service.storage.engine import StoreError
    from service.transport.certificates import CertificateError
    from service.transport.listening import PortTaken

    try:
        yield
    except PortTaken as error:
        fail(f"{error} POSTCORE_GRPC_ADDRESS and POSTCORE_HTTP_ADDRESS name others")
    except (StartError, StoreError, KeyringError, CertificateError) as error:
        fail(str(error))
    except ServiceUnavailable as error:
        fail(f"the database cannot be used just now ({error.why})")


def faults(error: ConfigError) -> str:
    return "the settings are not right:\n  " + "\n  ".join(error.faults)


def text(_: click.Context, __: click.Parameter, value: str) -> str:
    """An argument that is fit to be looked for: what is not UTF-8 no database takes."""
    if not value.isprintable():
        raise click.BadParameter("must be printable characters")
    return value


def time_of(micros: int) -> str:
    """A time as it is printed: RFC 3339, in UTC, to the second."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="seconds")
