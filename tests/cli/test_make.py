"""`make run` in odd folders, homes and umasks, and with an unsuitable Python."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.cli.home import DEADLINE, Home, Started

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = ("service", "generated", "Makefile", "pyproject.toml", "README.md", "requirements.txt")
INSTALL = """
packages=$(echo .venv/lib/python*/site-packages)
case "$*" in
*requirements*)
    rm -rf "$packages"/setuptools* # an old one, which comes with some Pythons
    printf '%s\\n' "$DEPENDENCIES" >"$packages/dependencies.pth" ;;
*) exec .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" ;;
esac
"""
"""Replaces pip without a network: the dependencies are those of the tests' environment."""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder/100% 'mine'"
    folder.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def make(checkout: Path, *arguments: str) -> list[str]:
    script = checkout.parent / "install"
    script.write_text(INSTALL)
    return ["make", f"PIP=sh ../{script.name}", f"PYTHON={sys.executable}", *arguments]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs_from_nothing_and_after_a_move(checkout: Path, tmp_path: Path) -> None:
    """It runs in a folder with a space, a per cent sign and quotes in its name, and without a
    writable home. A second run installs nothing, also after the folder is renamed."""
    paths = sysconfig.get_paths()
    environ = Home(checkout).environ()
    environ["DEPENDENCIES"] = f"{paths['purelib']}\n{paths['platlib']}"
    for name in ("HOME", "PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"):
        environ.pop(name, None)
    with_home = {**environ, "HOME": "/proc"}  # where not even root can write
    made = subprocess.run(
        make(checkout, ".venv/run"),
        cwd=checkout,
        env=with_home,
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "installing what the service needs" in made.stderr
    run(checkout, with_home, 0o077, tmp_path / "errors-1")
    moved = checkout.rename(checkout.with_name("moved"))
    run(moved, environ, 0o027, tmp_path / "errors-2")


def run(checkout: Path, environ: dict[str, str], umask: int, errors: Path) -> None:
    """Run an installed `make run` up to Ctrl+C."""
    started = Started(
        make(checkout, "run"),
        errors,
        cwd=checkout,
        env=environ,
        umask=umask,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert '  "username": "user.bsky.social"' in started.until("ready ")
        os.killpg(started.process.pid, signal.SIGINT)  # as a terminal does
        started.process.wait(DEADLINE)
    finally:
        started.clean_up()
    assert "installing" not in started.errors
    assert "Traceback" not in started.errors
    modes = {path.stat().st_mode & 0o077 for path in (checkout / "data").iterdir()}
    assert modes == {0}


def test_an_unsuitable_python_is_rejected(checkout: Path) -> None:
    """The error names suitable versions, and nothing is made."""
    for python in ("/bin/false", "no-such-python"):
        done = subprocess.run(
            ["make", f"PYTHON={python}", "run"],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 2
        assert "Python 3.11 to 3.14 is needed" in done.stderr
        assert not (checkout / ".venv").exists()
