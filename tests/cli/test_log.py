"""The log: the service's own lines with chosen fields; of all else, only type and place."""

import json
import re
import subprocess
import sys

import pytest

from tests.cli.home import DEADLINE

pytestmark = pytest.mark.process

SECRET = "abcd-efgh-ijkl-mnop"
BEGIN = f"""
import asyncio, logging, sys, threading, warnings

early = logging.getLogger("early")
early.setLevel(logging.DEBUG)

import structlog
from service.runtime import log

log.configure(sys.argv[1], sys.argv[2])
log.log_uncaught()
SECRET = {SECRET!r}
ours = structlog.get_logger()
theirs = logging.getLogger("some.library")

def fail():
    raise ValueError(SECRET) from RuntimeError(SECRET)
"""
LIBRARIES = """
import aiosqlite, httpcore

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nconnection: close\\r\\ncontent-length: 0\\r\\n\\r\\n")
    await writer.drain()
    writer.close()

async def use():
    async with aiosqlite.connect(":memory:") as database:
        await database.execute(f"SELECT '{SECRET}'")
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with httpcore.AsyncConnectionPool() as pool:
        headers = {"authorization": f"Bearer {SECRET}"}
        assert (await pool.request("GET", f"http://{host}:{port}/{SECRET}", headers=headers)).status
    server.close()

asyncio.run(use())
for logger in (early, theirs, logging.getLogger("late"), logging.getLogger("httpcore")):
    logger.setLevel(logging.DEBUG)
    logger.debug(SECRET)
    logger.info(SECRET)
ours.debug("seen")
"""
EXCEPTIONS = """
try:
    fail()
except ValueError as error:
    ours.exception("ours")
    ours.error("handed over", exc_info=error)
    theirs.exception("theirs %s", SECRET)
    logging.exception(SECRET)
theirs.error(SECRET, {"password": SECRET})
theirs.log(35, SECRET)
theirs.log(1000, SECRET)
warnings.warn(SECRET)
"""
UNCAUGHT = """
class Unwilling:
    def __del__(self):
        fail()

Unwilling()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def logged_by(code: str, log_format: str, level: str = "info", exit_code: int = 0) -> list[str]:
    """Return the lines that *code* logs; check that standard output is empty and no secret
    appears."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code, log_format, level],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def parsed(code: str, level: str = "info", exit_code: int = 0) -> list[dict[str, object]]:
    return [json.loads(line) for line in logged_by(code, "json", level, exit_code)]


def test_a_line_is_a_json_object() -> None:
    """It has event, level, time in UTC and the unchanged fields, with any characters; lines below
    the level are dropped."""
    lines = parsed(
        "ours.info('call', ms=1.5, tenant=None, why='a\\nb \\u2028 🎉 \\udcff', thing=early)\n"
        "ours.debug('unseen')\nours.warning('last')"
    )
    assert [line["event"] for line in lines] == ["call", "last"]
    first = lines[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", str(first.pop("timestamp")))
    assert str(first.pop("thing")).startswith("<Logger early")
    assert first == {
        "event": "call",
        "level": "info",
        "ms": 1.5,
        "tenant": None,
        "why": "a\nb \u2028 🎉 \udcff",
    }


@pytest.mark.parametrize("more", ["", ", why='a \\u2028 é'", ", big=1 << 70"])
def test_lines_of_calls_have_the_common_form(more: str) -> None:
    """The fast path for them writes the same line, and respects the level."""
    fields = f"'call', ms=1.5, tenant=None, thing=early{more}"
    code = (
        f"from service.runtime.log import Frequent\nours.info({fields})\nFrequent().info({fields})"
    )
    usual, frequent = parsed(code)
    assert list(usual) == list(frequent)
    assert len(str(usual.pop("timestamp"))) == len(str(frequent.pop("timestamp")))
    assert usual == frequent
    assert parsed(code, "warning") == []
    assert len(logged_by(code, "console")) == 2


def test_a_line_for_a_terminal_is_plain() -> None:
    """Each event is one line, without colours if the output is no terminal; fields cannot break the
    line."""
    [line] = logged_by("ours.warning('call', ms=1.5, why='a\\nb')", "console")
    assert re.match(r"\S+ \[warning *\] call +ms=1.5 why='a\\nb'$", line)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_texts_of_libraries_are_never_logged(log_format: str) -> None:
    """At debug level the service's own lines appear, and none of libraries' below a warning: no
    SQL, no requests, no lines of loggers with a level of their own."""
    [line] = logged_by(LIBRARIES, log_format, "debug")
    assert "seen" in line


def test_an_exception_is_logged_by_type_and_place() -> None:
    """Neither an exception's text, its cause's text nor a value appears. A library's record is
    logged by logger and place, at every level."""
    lines = parsed(EXCEPTIONS)
    by_us = [line for line in lines if line["event"] != "library"]
    assert [line["event"] for line in by_us] == ["ours", "handed over"]
    for line in by_us:
        assert line["exception"] == "ValueError"
        through = line["through"]
        assert isinstance(through, list)
        assert [re.sub(r":\d+", "", place) for place in through] == [
            "<string> <module>",
            "<string> fail",
        ]
    assert [
        (line["logger"], line["level"], line["exception"])
        for line in lines
        if line["event"] == "library"
    ] == [
        ("some.library", "error", "ValueError"),
        ("root", "error", "ValueError"),
        ("some.library", "error", None),
        ("some.library", "warning", None),
        ("some.library", "critical", None),
        ("py.warnings", "warning", None),
    ]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_uncaught_exceptions_are_logged_by_type_and_place(log_format: str) -> None:
    """This holds on the main thread, on other threads, and for unraisable exceptions."""
    lines = logged_by(UNCAUGHT, log_format, exit_code=1)
    assert len(lines) == 3
    for line in lines:
        assert "uncaught exception" in line
        assert "ValueError" in line
        assert re.search(r"<string>:\d+ fail", line)
