"""Migrations of an SQLite file: from every state to the present schema, or an error sentence."""

import asyncio
import json
import os
import sqlite3
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from service.storage import migrations
from service.storage.engine import StoreError
from service.storage.migrations import HEAD, KNOWN
from service.storage.opening import open_engine
from service.storage.sqlite_file import Ownership, schema_revision
from tests.cli.home import Home
from tests.support.statements import every_statement

SQL = every_statement()


def rows(path: Path, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database, database:
        return list(database.execute(statement, parameters))


def names(path: Path) -> list[tuple[Any, ...]]:
    return rows(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")


@pytest.mark.process
def test_a_fresh_file_is_brought_to_the_newest_schema(empty_home: Home) -> None:
    """A second `migrate` is a no-op, and keeps the data."""
    assert schema_revision(empty_home.database) is None
    assert empty_home.run("migrate").code == 0
    assert schema_revision(empty_home.database) == HEAD
    rows(
        empty_home.database,
        "INSERT INTO tenants (tenant_id, name, created_at) VALUES ('ten_a', 'Jane', 1)",
    )
    before = names(empty_home.database)
    again = empty_home.run("migrate")
    assert (again.code, again.out, again.err) == (0, "", "the schema is up to date\n")
    assert names(empty_home.database) == before
    assert rows(empty_home.database, "SELECT name FROM tenants") == [("Jane",)]


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o620, 0o602, 0o622])
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_file_that_others_may_write_is_rejected(home: Home, mode: int, suffix: str) -> None:
    """The sentence says how to correct it, and nothing changes: users who can write to the file
    could add API keys and connections."""
    file = home.database.with_name(f"postcore.db{suffix}")
    file.touch()
    file.chmod(mode)
    before = file.read_bytes()
    with pytest.raises(StoreError) as caught:
        asyncio.run(open_engine(f"sqlite:///{home.database}", 1))
    assert str(caught.value) == (
        f"others may write to the database's file {file} (mode {mode:04o}); run: chmod 600 {file}"
    )
    assert file.read_bytes() == before


@pytest.mark.process
@pytest.mark.parametrize("command", [("serve",), ("tenants", "list"), ("backup", "copy.db")])
def test_every_command_rejects_a_file_that_others_may_write(
    home: Home, command: tuple[str, ...]
) -> None:
    """Every command accepts it once it has the mode that the sentence names."""
    home.database.chmod(0o666)
    sentence = home.run(*command).sentence
    assert sentence == (
        f"others may write to the database's file {home.database} (mode 0666); "
        f"run: chmod 600 {home.database}"
    )
    subprocess.run(sentence.partition("run: ")[2].split(), check=True)
    assert home.run("tenants", "list").code == 0


@pytest.mark.process
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_that_others_may_write_is_rejected(home: Home, mode: int) -> None:
    """Other users could replace the database or its log there. The folder of a link to the database
    is checked too."""
    folder = home.database.parent
    folder.chmod(mode)
    sentence = home.run("tenants", "list").sentence
    assert sentence == (
        f"others may write to {folder}, where the database is (mode {mode:04o}); "
        f"put it in a folder of its own, or run: chmod o-w {folder}"
    )
    folder.chmod(mode & ~0o022)
    assert home.run("tenants", "list").code == 0
    folder.chmod(0o2770)  # as a volume of a container is
    assert home.run("tenants", "list").code == 0
    others = home.folder / "others"
    others.mkdir()
    others.chmod(mode)
    (others / "link.db").symlink_to(home.database)
    refused = home.run("tenants", "list", DATABASE_URL="sqlite:///others/link.db")
    assert refused.sentence.startswith(f"others may write to {others}")


@pytest.mark.process
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read_logs_a_warning(home: Home, mode: int) -> None:
    """It is used, with a warning: its secrets are sealed, but names are not."""
    home.database.chmod(mode)
    listed = home.run("tenants", "list")
    [line] = [json.loads(line) for line in listed.err.splitlines()]
    assert listed.code == 0
    assert (line["level"], line["event"]) == ("warning", "others may read the database")
    assert (line["file"], line["mode"]) == (str(home.database), f"{mode:04o}")


@pytest.mark.process
def test_two_at_once_migrate_once(empty_home: Home, empty_database: Path) -> None:
    """Of two commands at once on a new file, both succeed."""
    with ExitStack() as stack:
        both = [stack.enter_context(empty_home.started("migrate")) for _ in range(2)]
        assert [each.end() for each in both] == [0, 0]
        assert [each.errors for each in both] == ["the schema is up to date\n"] * 2
    assert names(empty_home.database) == names(empty_database)
    assert rows(empty_home.database, "SELECT version_num FROM alembic_version") == [(HEAD,)]


@pytest.mark.process
def test_a_failed_migration_is_reported_as_a_sentence(empty_home: Home) -> None:
    """Without a traceback or the failed statement; the migration is rolled back."""
    empty_home.database.parent.mkdir()
    empty_home.database.touch(0o600)
    rows(empty_home.database, "CREATE TABLE sessions (hunter2 TEXT)")
    before = names(empty_home.database)
    outcome = empty_home.run("migrate")
    *lines, sentence = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (1, "")
    assert sentence == "Error: the database data/postcore.db could not be migrated"
    assert [line[0] for line in lines] == ["{"]
    assert "Traceback" not in outcome.err
    assert "hunter2" not in outcome.err
    assert "CREATE TABLE" not in outcome.err
    assert names(empty_home.database) == before


@pytest.mark.process
def test_a_schema_of_a_newer_program_is_rejected(home: Home) -> None:
    """The error is one sentence, and nothing changes."""
    rows(home.database, "UPDATE alembic_version SET version_num = '9999'")
    before = home.database.read_bytes()
    sentence = (
        "the database data/postcore.db was made by a newer program "
        f"(schema 9999, this one knows {HEAD}); run that one, or restore a backup"
    )
    assert home.run("serve").sentence == sentence
    assert home.database.read_bytes() == before


@pytest.mark.process
def test_a_file_that_is_not_a_database_is_rejected(home: Home) -> None:
    """The error is one sentence, and the file does not change."""
    home.database.write_text("These are a person's notes.\n" * 200)
    before = home.database.read_bytes()
    assert home.run("serve").sentence == "data/postcore.db is not a database of this service"
    assert home.database.read_bytes() == before


def test_a_path_that_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    """Example: a folder."""
    with pytest.raises(StoreError, match="cannot be opened"):
        schema_revision(tmp_path)


def test_a_database_without_a_schema_is_behind(tmp_path: Path) -> None:
    """Examples: a missing file, an empty one, and one left by an interrupted migration."""
    path = tmp_path / "postcore.db"
    assert schema_revision(path) is None
    assert not path.exists()
    path.touch()
    assert schema_revision(path) is None
    rows(path, "CREATE TABLE alembic_version (version_num TEXT)")
    assert schema_revision(path) is None


@pytest.mark.parametrize("name", ["a b.db", "a%20b.db", "a?b.db", "a#b.db", "ä🎉.db", "a@b:c.db"])
def test_the_schema_is_read_from_the_named_file(tmp_path: Path, name: str) -> None:
    """Its name may have any characters."""
    path = tmp_path / name
    rows(path, "CREATE TABLE alembic_version (version_num TEXT)")
    rows(path, "INSERT INTO alembic_version VALUES (?)", [HEAD])
    assert schema_revision(path) == HEAD
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_has_one_owner_under_all_its_names(tmp_path: Path) -> None:
    """A link to the file, a link to its folder and a relative path all name the same database."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "postcore.db"
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "other").symlink_to(folder)
    paths = (
        path,
        tmp_path / "link.db",
        tmp_path / "other/postcore.db",
        Path(os.path.relpath(path)),
    )
    for owned in paths:
        owner = Ownership(owned)
        for other in paths:
            with pytest.raises(StoreError, match="another server is running"):
                Ownership(other)
        owner.release()


def test_a_lock_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    """The error is one sentence if the lock's file cannot be opened."""
    (tmp_path / "postcore.db.serve").mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        Ownership(tmp_path / "postcore.db")


def test_known_revisions_are_those_of_alembic() -> None:
    """HEAD and KNOWN, which let a start skip loading Alembic, agree with Alembic."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert frozenset(script.revision for script in scripts.walk_revisions()) == KNOWN


@pytest.mark.parametrize("name", sorted(SQL))
def test_every_statement_fits_the_schema(name: str, empty_database: Path) -> None:
    """Each can be prepared on the newest schema: no table or column is missing or misspelt."""
    parameters = {str(number): 1 for number in range(1, 101)}
    assert rows(empty_database, f"EXPLAIN {SQL[name]}", parameters)
