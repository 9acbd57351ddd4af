"""What every command does: reads the settings, runs its work, tells a fault as a sentence."""

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click

from service.config import ConfigError, Settings

T = TypeVar("T")


def fail(sentence: str) -> NoReturn:
    raise click.ClickException(sentence)


def settings() -> Settings:
    """The settings, every fault told at once, and the log as they ask."""
    from service import log

    try:
        read = Settings.read()
    except ConfigError as error:
        fail(faults(error))
    log.configure(read.log_format, read.log_level)
    log.tell_uncaught()
    return read


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* to its end; what an operator can mend is told as a sentence."""
    import uvloop

    with told():
        return uvloop.run(work)


@contextmanager
def told() -> Iterator[None]:
    """Tell what stops the service, and an operator can mend, as a sentence."""
    from service.errors import ServiceUnavailable
    from service.opening import StartError
    from service.ring import RingError
    from service.storage.engine import StoreError
    from service.transport.certificates import CertificateError
    from service.transport.listening import PortTaken

    try:
        yield
    except (StartError, StoreError, RingError, CertificateError, PortTaken) as error:
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
