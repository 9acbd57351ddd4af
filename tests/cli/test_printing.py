"""What each command prints, on which stream, and its exit code."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service import __version__
from service.cli.main import cli
from tests.cli.home import COMMAND, DEADLINE, Home


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield *path, name


@pytest.mark.process
def test_values_are_alone_and_last_on_standard_output(empty_home: Home) -> None:
    """From an empty folder to an API key, each command prints only its value there."""
    home = empty_home
    made = home.run("keyring", "init")
    assert (made.code, made.out) == (0, "")
    assert "keep a copy" in made.err
    migrated = home.run("migrate")
    assert (migrated.code, migrated.out, migrated.err) == (0, "", "the schema is up to date\n")
    tenant = home.run("tenants", "create", "Jane")
    assert re.fullmatch(r"ten_[a-z0-9]{16}\n", tenant.out)
    tenant_id = tenant.out.strip()
    listed = home.run("tenants", "list")
    assert re.fullmatch(
        rf"{tenant_id}\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\tJane\n", listed.out
    )
    key = home.run("api-keys", "create", "--tenant", tenant_id, "--name", "first")
    assert re.fullmatch(r"pc_live_[a-z0-9]{16}_[0-9A-Za-z]{49}\n", key.out)
    key_id = key.out.split("_")[2]
    revoked = home.run("api-keys", "revoke", key_id)
    assert (revoked.out, revoked.err) == ("", f"revoked {key_id}\n")
    checked = home.run("config", "check")
    assert checked.out == "ok\n"
    assert "POSTCORE_KEYRING_FILE=data/keyring.json\n" in checked.err
    version = home.run("version")
    assert version.out == f"{__version__}\n"
    for outcome in (tenant, listed, key, revoked, checked, version):
        assert outcome.code == 0
    for outcome in (tenant, listed, key, version):
        assert outcome.err == ""


@pytest.mark.parametrize("path", sorted(commands()), ids=" ".join)
def test_help(path: tuple[str, ...]) -> None:
    """Every command has help with a first sentence, on standard output, with exit code 0."""
    outcome = CliRunner().invoke(cli, [*path, "--help"], prog_name="postcore")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    usage, _, sentence, *_ = outcome.stdout.splitlines()
    assert usage.startswith(f"Usage: postcore {' '.join(path)} [OPTIONS]")
    assert sentence.strip()


@pytest.mark.quick
@pytest.mark.process
def test_wrong_usage_ends_with_exit_code_2(empty_home: Home) -> None:
    """An unknown command prints usage and error on standard error, and nothing on standard
    output."""
    outcome = empty_home.run("connect")
    assert (outcome.code, outcome.out) == (2, "")
    assert "No such command 'connect'" in outcome.err
    assert empty_home.run("-h").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["tenants", "create"],
        ["api-keys", "create"],
        ["api-keys", "create", "--tenant", "t", "--scope", "profiles:all"],
        ["api-keys", "create", "--tenant", "\udcff"],
        ["api-keys", "list", "--tenant", "\udcff"],
        ["api-keys", "revoke", "\udcff"],
        ["tenants", "delete", "\udcff"],
        ["serve", "--no-such-option"],
    ],
)
def test_wrong_arguments_are_wrong_usage(arguments: list[str]) -> None:
    """Missing arguments, unknown scopes and options, and text that is not UTF-8: exit code 2."""
    outcome = CliRunner().invoke(cli, arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Usage: ")


NEED_SETTINGS = [
    ["serve"],
    ["migrate"],
    ["tenants", "create", "Jane"],
    ["tenants", "list"],
    ["tenants", "delete", "ten_x"],
    ["api-keys", "create", "--tenant", "ten_x"],
    ["api-keys", "list", "--tenant", "ten_x"],
    ["api-keys", "revoke", "x"],
    ["keyring", "init"],
    ["keyring", "status"],
    ["config", "check"],
    ["healthcheck"],
]


@pytest.mark.parametrize("arguments", NEED_SETTINGS, ids=" ".join)
def test_wrong_settings_stop_every_command(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command names the variable at fault, exits with 1 and does nothing else."""
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(cli, arguments, env={"POSTCORE_LOG_LEVEL": "loud"})
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "Error: the settings are not right:\n"
        "  POSTCORE_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_folder_that_cannot_be_made_is_reported_as_a_sentence(empty_home: Home) -> None:
    """The folder of the database or of the keyring is a file."""
    (empty_home.folder / "file").touch()
    migrated = empty_home.run("migrate", DATABASE_URL="sqlite:///file/postcore.db")
    assert migrated.sentence == "cannot make the folder file: File exists"
    made = empty_home.run("keyring", "init", KEYRING_FILE="file/keyring.json")
    assert made.sentence == "cannot make the folder file: File exists"


@pytest.mark.process
def test_a_database_failure_is_reported_as_a_sentence(home: Home) -> None:
    """A failed statement is reported without an exception."""
    with closing(sqlite3.connect(home.database)) as database:
        database.execute("DROP TABLE tenants")
    outcome = home.run("tenants", "create", "Jane")
    assert outcome.sentence == "the database cannot be used at the moment (OperationalError)"


@pytest.mark.quick
@pytest.mark.process
def test_the_installed_command_runs_in_any_folder(tmp_path: Path, empty_database: Path) -> None:
    """`postcore` and `python -m service` need neither the checkout as folder nor PYTHONPATH."""
    (tmp_path / "elsewhere").mkdir()
    script = Path(sys.executable).with_name("postcore")
    for command in ((script, "migrate"), (*COMMAND, "tenants", "list")):
        done = subprocess.run(
            command,
            cwd=tmp_path / "elsewhere",
            env={"POSTCORE_DATABASE_URL": f"sqlite:///{tmp_path}/postcore.db"},
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert (tmp_path / "postcore.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
