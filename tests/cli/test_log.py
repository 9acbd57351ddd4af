"""The log: lines of ours with the fields we chose, and of all else no more than type and place."""

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
theirs = logging.getLogger("somebody.else")

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


def told(code: str, log_format: str, level: str = "info", exit_code: int = 0) -> list[str]:
    """The lines that *code* logs; nothing of it is on standard output, and no secret anywhere."""
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
    return [json.loads(line) for line in told(code, "json", level, exit_code)]


def test_a_line_is_a_json_object() -> None:
    """With event, level, time in UTC and the fields as they were, whatever characters they hold;
    lines below the level are left out."""
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
def test_the_lines_of_every_call_are_like_the_others(more: str) -> None:
    """The shorter way that they take leaves the same line, and heeds the level."""
    fields = f"'call', ms=1.5, tenant=None, thing=early{more}"
    code = (
        f"from service.runtime.log import Frequent\nours.info({fields})\nFrequent().info({fields})"
    )
    usual, frequent = parsed(code)
    assert list(usual) == list(frequent)
    assert len(str(usual.pop("timestamp"))) == len(str(frequent.pop("timestamp")))
    assert usual == frequent
    assert parsed(code, "warning") == []
    assert len(told(code, "console")) == 2


def test_a_line_for_a_terminal_is_plain() -> None:
    """One line an event, without colours where nobody looks; fields cannot break it."""
    [line] = told("ours.warning('call', ms=1.5, why='a\\nb')", "console")
    assert re.match(r"\S+ \[warning *\] call +ms=1.5 why='a\\nb'$", line)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_libraries_never_tell_what_they_do(log_format: str) -> None:
    """At debug level our own lines show, and of libraries' none below a warning: neither SQL nor
    requests nor what a logger with a level of its own has to say."""
    [line] = told(LIBRARIES, log_format, "debug")
    assert "seen" in line


def test_an_exception_is_told_by_type_and_place() -> None:
    """Ours and those of libraries: never the text, the cause's text or a value; a library's
    record is told by its logger and place, whatever its level."""
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
        ("somebody.else", "error", "ValueError"),
        ("root", "error", "ValueError"),
        ("somebody.else", "error", None),
        ("somebody.else", "warning", None),
        ("somebody.else", "critical", None),
        ("py.warnings", "warning", None),
    ]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_nobody_caught_is_told_by_type_and_place(log_format: str) -> None:
    """On the main thread, on another, and where there is no one to raise to."""
    lines = told(UNCAUGHT, log_format, exit_code=1)
    assert len(lines) == 3
    for line in lines:
        assert "uncaught exception" in line
        assert "ValueError" in line
        assert re.search(r"<string>:\d+ fail", line)
