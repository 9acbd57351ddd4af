"""The wheel: its files, and the demonstration without a checkout."""

import json
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

from tests.cli.home import DEADLINE, Home, Started

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = ("service", "generated", "pyproject.toml", "README.md", "LICENSE")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    """Return the files below *folder*, except those of Python and its tools."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and its dependencies, and nothing of this checkout. The
    dependencies are this environment's, so that no network is needed."""
    folder = tmp_path_factory.mktemp("a 100% folder")
    sources, wheels, made = folder / "sources", folder / "wheels", folder / "environment"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, sources)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index")
    run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", wheels, sources)
    [wheel] = wheels.iterdir()
    run(sys.executable, "-m", "venv", "--without-pip", made)
    [packages] = made.glob("lib/python*/site-packages")
    # folders that a .pth file names have no .pth files of their own: this checkout stays unknown
    paths = sysconfig.get_paths()
    (packages / "dependencies.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n")
    run(*pip, "--python", made / "bin/python", "install", *offline, wheel)
    found = run(made / "bin/python", "-Ic", "import service; print(service.__file__)")
    assert Path(found.strip()) == packages / "service/__init__.py"
    return made


def test_it_holds_every_file_of_the_program(environment: Path) -> None:
    """It has every package, with the page, the migrations and the contract's descriptors."""
    [packages] = environment.glob("lib/python*/site-packages")
    assert files(packages / "service") == files(ROOT / "service")
    assert files(packages / "postcore") == files(ROOT / "generated/postcore")


def test_one_command_gives_the_demonstration(environment: Path, tmp_path: Path) -> None:
    """It works in an empty folder whose name has a space and a per cent sign; `--help` names it."""
    postcore = environment / "bin/postcore"
    assert re.search(r"^  demo ", run(postcore, "--help"), re.MULTILINE)
    home = Home(tmp_path / "an empty 100% folder")
    home.folder.mkdir()
    environ = home.environ()
    environ.pop("PYTHONPATH", None)
    started = Started(
        [postcore, "demo"],
        tmp_path / "errors",
        cwd=home.folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        lines = started.until("ready ")
        assert '  "username": "user.bsky.social"' in lines
        [http] = re.findall(r"http=(\S+)", lines[-1])
        for path, part in (("docs", b"ConnectProfile"), ("docs/page.css", b"{")):
            with urllib.request.urlopen(f"http://{http}/{path}", timeout=DEADLINE) as page:
                assert part in page.read()
        with urllib.request.urlopen(f"http://{http}/openapi.json", timeout=DEADLINE) as document:
            assert "/profiles/connect" in json.load(document)["paths"]
        assert started.end(signal.SIGINT) == 0
    finally:
        started.clean_up()
    assert "Traceback" not in started.errors
    assert {path.name for path in home.folder.iterdir()} == {"data"}
