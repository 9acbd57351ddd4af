"""The log: one JSON object a line on standard error, or plain lines for a terminal.

The service's own lines hold fields that it chose. Of a library's records, only the logger's name,
the place and the exception's type are logged: their texts may hold anything, a password included.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.runtime import tracing

Format = Literal["json", "console"]
OCCASIONAL_INTERVAL_SECONDS = 60.0


def configure(log_format: Format, level: str) -> None:
    """Send all logs to standard error. Libraries stay at WARNING at every *level*."""
    tail: list[Processor] = (
        [_JSON]
        if log_format == "json"
        else [on_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            exception_type,
            trace_ids,
            *tail,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=StandardError,
        cache_logger_on_first_use=False,
    )
    Frequent.is_enabled = logging.getLevelName(level.upper()) <= logging.INFO
    root = logging.getLogger()
    root.handlers = [LibraryHandler(logging.WARNING)]
    root.setLevel(logging.WARNING)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.NOTSET)


def log_uncaught() -> None:
    """Log uncaught exceptions of all threads, and Python's warnings, without their texts."""
    logging.captureWarnings(True)
    sys.excepthook = lambda _, error, __: _log_critical(error)
    threading.excepthook = lambda thrown: _log_critical(thrown.exc_value)
    sys.unraisablehook = lambda thrown: _log_critical(thrown.exc_value)


def _log_critical(error: BaseException | None) -> None:
    structlog.get_logger().critical("uncaught exception", exc_info=error)


class StandardError:
    """Writes lines to the present `sys.stderr`.

    A line that cannot be written is dropped: logging never fails the call that logs.
    """

    def __init__(self, *_: object) -> None: ...

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError):
                _lead_to_null(sys.stderr.fileno())
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = msg


def _lead_to_null(pipe: int) -> None:
    """Replace *pipe*, which has no reader, by /dev/null: its buffered text would fail the exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, pipe)
    os.close(null)


class Frequent:
    """Logs a line for each call: structlog's `info`, but faster where the log is JSON."""

    is_enabled = False
    _out = StandardError()

    def info(self, event: str, **fields: str | float | None) -> None:
        if not self.is_enabled or structlog.get_config()["processors"][-1] is not _JSON:
            structlog.get_logger().info(event, **fields)
            return
        now = datetime.now(UTC)
        self._out.msg(as_json({**fields, "event": event, "level": "info", "timestamp": now}))


class Occasional:
    """Logs each event at most once a minute, with `times`: how often it has happened since."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[float, int]] = {}

    def warning(self, event: str, **fields: str | int) -> None:
        """Log *event* with *fields* now, or count it for the event's next line."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: str | int) -> None:
        """Do as `warning` does, at level error."""
        self._log("error", event, fields)

    def _log(self, level: str, event: str, fields: Mapping[str, str | int]) -> None:
        now = monotonic()
        due, times = self._counts.get(event, (0.0, 0))
        if now < due:
            self._counts[event] = due, times + 1
            return
        self._counts[event] = now + OCCASIONAL_INTERVAL_SECONDS, 0
        getattr(structlog.get_logger(), level)(event, times=times + 1, **fields)


class LibraryHandler(logging.Handler):
    """Logs that a library has logged, and where, but not what."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            # structlog knows only the usual levels
            min(record.levelno // 10 * 10, logging.CRITICAL),
            "library",
            logger=record.name,
            place=f"{record.module}:{record.lineno}",
            exception=record.exc_info[0].__name__
            if record.exc_info and record.exc_info[0]
            else None,
        )


def as_json(event: Mapping[str, Any], **_: Any) -> str:
    """Return *event* as one line of JSON; values that JSON cannot hold appear as their `repr`."""
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z)
        if line.isascii():
            return line.decode()
    except TypeError:  # an unpaired surrogate, or a number of more than 64 bits
        pass
    # escapes all other letters: some of them end a line for some readers
    return json.dumps(event, default=_written, separators=(",", ":"))


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return repr(value)


_JSON = structlog.processors.JSONRenderer(serializer=as_json)


def exception_type(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's type and the places that it passed through."""
    info = event.pop("exc_info", None)
    error = sys.exception() if info is True else info
    if isinstance(error, BaseException):
        event["exception"] = type(error).__name__
        event["through"] = through(error)
    return event


def trace_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the ids of the present trace and span, if there is one."""
    event.update(tracing.ids())
    return event


def on_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Rename `exception`, which the console's renderer would print as a traceback."""
    if "exception" in event:
        event["error"] = event.pop("exception")
    return event


def through(error: BaseException) -> list[str]:
    """Return the last six places that *error* passed through, innermost last, without values."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-6:]
    ]
