"""Child processes: their environment, arguments, import path and end."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.runtime import children
from service.storage.migrations import HEAD, migrate_apart
from service.storage.sqlite_file import schema_revision
from tests.cli.home import DEADLINE, Home
from tests.support.postgres import Cluster, apart

pytestmark = pytest.mark.process

POSTCORE = Path(sys.executable).with_name("postcore")
REPORT = """
import ctypes, json
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(json.dumps([dumpable, sys.flags.isolated, sys.path, sys.argv[1:]]))
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose modules leave a trace when they are run."""
    folder = tmp_path / "hostile"
    for package in ("service", "service/storage", "service/storage/migrations", "alembic"):
        (folder / package).mkdir(parents=True)
    names = ("json", "os", "ctypes", "asyncpg", "sqlalchemy", "select", "sitecustomize")
    packages = ("service", "service/storage", "service/storage/migrations", "alembic")
    trap = f"open({str(tmp_path / 'trapped')!r}, 'a').write(__file__ + chr(10))\n"
    for file in (*(f"{name}.py" for name in names), *(f"{name}/__init__.py" for name in packages)):
        (folder / file).write_text(trap)
    return folder


def trapped(hostile: Path) -> str:
    found = hostile.with_name("trapped")
    return found.read_text() if found.exists() else ""


def test_a_migration_runs_no_code_of_the_current_folder(hostile: Path, empty_home: Home) -> None:
    """It ignores modules there with the names of its imports, but finds the database by a path
    relative to the folder."""
    done = subprocess.run(
        [POSTCORE, "migrate"],
        cwd=hostile,
        env=empty_home.environ(DATABASE_URL="sqlite:///data/postcore.db"),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert trapped(hostile) == ""
    assert (done.returncode, done.stderr) == (0, "the schema is up to date\n")
    assert schema_revision(hostile / "data/postcore.db") == HEAD


def test_a_child_is_isolated_and_cannot_be_read(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs isolated and without core dumps, and finds modules as its parent does, except in the
    current folder."""
    monkeypatch.chdir(hostile)
    monkeypatch.setattr(sys, "path", [str(hostile), "", ".", *sys.path])
    done = subprocess.run(
        children.command(REPORT, "serve", "--sandbox"),
        env={"PYTHONPATH": str(hostile), "PYTHONSTARTUP": str(hostile / "os.py")},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    dumpable, isolated, path, arguments = json.loads(done.stdout)
    assert (dumpable, isolated, arguments) == (0, 1, ["serve", "--sandbox"])
    assert str(hostile) not in path
    assert not any(Path(entry).exists() for entry in path if not os.path.isabs(entry))
    assert trapped(hostile) == ""


def test_a_program_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is so in a checkout, whose folder may have any name."""
    root = Path(children.__file__).parents[2]
    copy = tmp_path / 'a:b "c'
    copy.mkdir()
    (copy / "service").symlink_to(root / "service")
    monkeypatch.chdir(copy)
    monkeypatch.setattr(children, "_ROOT", str(copy))
    found = "import service; print(service.__file__)"
    done = subprocess.run(children.command(found), capture_output=True, text=True, check=True)
    assert done.stdout == f"{copy}/service/__init__.py\n"


def test_no_secret_is_in_a_child_s_arguments_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets neither the URL nor the driver's variables there, and starts in the root folder."""
    seen, interpreter = tmp_path / "seen", tmp_path / "python"
    interpreter.write_text(
        f'#!/bin/sh\n(pwd; printf \'%s\\n\' "$@"; env) > {seen}\nexec "{sys.executable}" "$@"\n'
    )
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    monkeypatch.setenv("POSTCORE_DATABASE_URL", "hunter2")
    monkeypatch.setenv("PGPASSWORD", "hunter3")
    assert migrate_apart(f"sqlite:///{tmp_path}/hunter4.db")
    folder, isolated, *rest = seen.read_text().splitlines()
    assert (folder, isolated) == ("/", "-I")
    assert not any("hunter" in line for line in rest)
    assert schema_revision(tmp_path / "hunter4.db") == HEAD


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "print('ready', flush=True); exit(3)"])
def test_a_child_that_ends_early_fails_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The start fails if the child ends before or after it has received its work."""
    monkeypatch.setattr("service.storage.migrations.CODE", code)
    assert not migrate_apart(f"sqlite:///{tmp_path}/a.db")


@pytest.mark.parametrize("code", ["sys.stdin.read()", "print('ready', flush=True); sys.stdin = 0"])
def test_a_child_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A child that hangs is killed."""
    monkeypatch.setattr("service.storage.migrations.CODE", f"{code}\nimport time; time.sleep(60)")
    monkeypatch.setattr("service.storage.migrations.READY_SECONDS", 1)
    monkeypatch.setattr("service.storage.migrations.MAX_SECONDS", 1)
    assert not migrate_apart(f"sqlite:///{tmp_path}/a.db")


def test_a_migration_has_what_the_driver_reads(
    empty_home: Home, postgres: Cluster, postgres_url: str
) -> None:
    """It gets a password from the environment, and files relative to the command's folder."""
    name = apart(postgres.new_database())
    whole = postgres.url(name)
    password = whole.split(":")[2].partition("@")[0]
    url = whole.replace(f":{password}", "")
    empty_home.more = {"PGPASSWORD": password}
    assert empty_home.run("migrate", DATABASE_URL=url).code == 0
    apart(postgres.drop(name))
    name = apart(postgres.new_database())
    (empty_home.folder / "passwords").write_text(f"*:*:*:*:{password}\n")
    (empty_home.folder / "passwords").chmod(0o600)
    empty_home.more = {}
    relative = f"{postgres.url(name).replace(f':{password}', '')}?passfile=passwords"
    assert empty_home.run("migrate", DATABASE_URL=relative).code == 0
    apart(postgres.drop(name))
