"""Settings: any environment is valid, or all its faults are reported together without values."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.settings import PREFIX, ConfigError, Settings

from .target import Read, Target

MARK = "hunter2"
BETWEEN = re.compile("must be set where|other machines can reach it|without verified TLS")
NAMES = tuple(sorted(Settings.model_fields))


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    before = Path.cwd()
    os.chdir(folder)

    def read(data: bytes) -> None:
        environ = environment(data)
        together = faults(environ)
        for name, value in environ.items():
            # no fault hides another's, except for rules about two settings
            alone = faults({name: value})
            assert set(alone) <= {*together, *(fault for fault in alone if BETWEEN.search(fault))}
            reported = faults({name: value + MARK})
            assert not any(MARK in fault.removeprefix(name) for fault in reported)

    try:
        yield read
    finally:
        os.chdir(before)


def environment(data: bytes) -> dict[str, str]:
    """Return a possible process environment: no NUL, undecodable bytes as Python decodes them."""
    found = {}
    for line in data.replace(b"\0", b"").split(b"\n"):
        name, _, value = line.decode("utf-8", "surrogateescape").partition("=")
        if name == "DATABASE_URL_FILE":
            value = value.replace("/", "_")  # reads no file of this machine
        found[f"{PREFIX}{name}"] = value
    return found


def faults(environ: Mapping[str, str]) -> list[str]:
    try:
        Settings.read(environ)
    except ConfigError as error:
        assert error.faults
        return error.faults
    return []


TARGET = Target(
    opened,
    (
        b"",
        b"GRPC_ADDRESS=0.0.0.0:1\nALLOW_PLAINTEXT=true",
        b"DATABASE_URL=postgresql://u:p@h:1/d?sslmode=require",
        b"LOGIN_BUDGET=1,2\nTRUSTED_ORIGINS=https://a.example,http://[::1]:80",
        b"DRAIN_SECONDS=1e3\nCHECK_HOURS=nan",
    ),
)

VALUES = st.sampled_from(
    (
        *(
            "",
            "0",
            "-1",
            "1",
            "1e9",
            "nan",
            "inf",
            "9" * 5000,
            "true",
            "1,2",
            "1,2,3",
            ",",
            "\u0663",
        ),
        *("127.0.0.1:0", "0.0.0.0:1", "[::1]:1", "a:" + "9" * 5000, "localhost:65535", "::"),
        *("https://a.example", "http://a.example:99999/", "https://a.example,http://b", "//"),
        *("sqlite:///a", "sqlite:///:memory:", "postgresql://u:p@h:1/d", "postgres://h,h:0/d", "."),
        *("json", "info", "\udcff", "a" * 5000, "postgresql://" + "a," * 2000),
    )
)
LINES = st.tuples(
    st.sampled_from([name.upper() for name in NAMES] + ["DATABASE_URL_FILE", "NO_SUCH"])
    | st.text(max_size=8),
    VALUES | st.text(max_size=8),
).map("=".join)
ENVIRONMENTS = st.lists(LINES, max_size=6).map(
    lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")
)


@settings(deadline=None)
@given(ENVIRONMENTS | st.binary())
@example(b"GRPC_ADDRESS=a:" + b"9" * 5000)
@example(b"LOG_LEVEL=x\nGRPC_ADDRESS=0.0.0.0:1")
def test_any_environment(read: Read, data: bytes) -> None:
    """Each fault names its variable, all faults are reported together, and none shows a value."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
