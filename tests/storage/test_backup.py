"""Backups: consistent, without the keyring, and good for a new start."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from service.app.serving import serving
from service.app.startup import StartError
from service.crypto.keyring import (
    KeyPurpose,
    Keyring,
    KeyringError,
    create_keyring,
    new_keys,
    read_keys,
)
from service.storage.backup import back_up
from service.storage.engine import StoreError
from tests.support.bluesky import SandboxBluesky
from tests.support.live_changes import age, command, done, opened, people, plant
from tests.support.running import Running, running


@pytest.fixture
async def service(sandbox: SandboxBluesky, database: Path) -> AsyncIterator[Running]:
    budgets = dict.fromkeys(
        ("LOGIN_BUDGET", "CONNECT_LOGIN_BUDGET", "TENANT_LOGIN_BUDGET"), "100000,100000"
    )
    async with running(database, {**sandbox.settings(), **budgets}) as started:
        yield started


@pytest.mark.process
async def test_a_backup_made_under_load_can_be_served(
    service: Running, sandbox: SandboxBluesky, tmp_path: Path
) -> None:
    """Beside connects and disconnects: what is in it is whole, every secret opens with a copy of
    the keyring, and sessions can be leased from it."""
    connected = await people(service, sandbox, 2)
    person = await sandbox.person()
    made: list[str] = []

    async def connect_again_and_again() -> None:
        while True:
            reply = await service.connect(person.handle, person.app_password)
            made.append(reply.profile_key)

    load = asyncio.create_task(connect_again_and_again())
    copies = [tmp_path / f"copies/{number}.db" for number in range(3)]
    copies[0].parent.mkdir()
    for copy in copies:
        before = list(made)
        ended = await command(service, "backup", str(copy))
        assert (ended.code, ended.out) == (0, ""), ended
        assert "the keyring is not in it" in ended.err
        with closing(sqlite3.connect(copy)) as database:
            kept = {key for (key,) in database.execute("SELECT profile_key FROM sessions")}
            assert kept == {key for (key,) in database.execute("SELECT profile_key FROM profiles")}
        assert kept >= {*before, *connected}
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(copies[-1], restored / "postcore.db")
    shutil.copy(service.settings.keyring_file, restored / "keyring.json")
    async with running(restored / "postcore.db", sandbox.settings()) as again:
        assert len(opened(again)) == 2 * len(kept)
        again.tenant_id = service.tenant_id
        for profile_key, owner in connected.items():
            assert (await again.lease(profile_key)).account_id == owner.did


@pytest.mark.process
async def test_a_backup_is_its_owners_alone_and_overwrites_nothing(
    service: Running, tmp_path: Path
) -> None:
    """Its mode is 0600 under any umask; an existing file is kept, and no draft is left."""
    folder = tmp_path / "copies"
    folder.mkdir()
    copy = folder / "a.db"
    await done(service, "backup", str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    before = copy.read_bytes()
    ended = await command(service, "backup", str(copy))
    assert ended.code == 1
    assert ended.err == f"Error: there is a file at {copy} already; it was left as it is\n"
    assert copy.read_bytes() == before
    nowhere = await command(service, "backup", str(tmp_path / "nowhere/a.db"))
    assert nowhere.err.endswith("cannot be written: No such file or directory\n")
    assert list(folder.iterdir()) == [copy]


@pytest.mark.process
async def test_what_was_deleted_is_not_in_a_backup(service: Running, tmp_path: Path) -> None:
    """Nor are secrets that were replaced, though the log beside the database may hold them."""
    await plant(service, 20)
    gone = [row["envelope"] for row in service.rows("SELECT envelope FROM credentials")]
    await service.execute("DELETE FROM credentials WHERE profile_key <> 'prof_planted000003'")
    [kept] = [row["envelope"] for row in service.rows("SELECT envelope FROM credentials")]
    await done(service, "backup", str(tmp_path / "copy.db"))
    content = (tmp_path / "copy.db").read_bytes()
    assert [envelope in content for envelope in gone].count(True) == 1
    assert kept in content
    assert all(key.secret not in content for key in read_keys(service.settings.keyring_file))


@pytest.mark.process
async def test_a_backup_without_its_keyring_is_not_served(service: Running, tmp_path: Path) -> None:
    """In a sentence: where there is no keyring, and where there is another."""
    restored = tmp_path / "restored"
    restored.mkdir()
    await done(service, "backup", str(restored / "postcore.db"))
    settings = service.settings.model_copy(
        update={
            "database_url": f"sqlite:///{restored / 'postcore.db'}",
            "keyring_file": restored / "keyring.json",
        }
    )
    with pytest.raises(KeyringError, match="there is no keyring at"):
        async with serving(settings):
            pass
    create_keyring(settings.keyring_file, new_keys("another"))
    with pytest.raises(StartError, match="not the one that this database was sealed with"):
        async with serving(settings):
            pass


@pytest.mark.process
async def test_a_backup_from_before_a_retirement_needs_the_retired_key(
    service: Running, tmp_path: Path, sandbox: SandboxBluesky
) -> None:
    """Without it there is no start; put back from its file, it opens all that it sealed."""
    await plant(service, 5)
    secrets = opened(service)
    keyring = service.settings.keyring_file
    former = Keyring(keyring).active(KeyPurpose.SEAL).key_id
    restored = tmp_path / "restored"
    restored.mkdir()
    await done(service, "backup", str(restored / "postcore.db"))
    added = await done(service, "keyring", "add")
    await done(service, "keyring", "activate", added, "--at-once")
    age(keyring)
    await done(service, "keyring", "rewrap")
    retired = await done(service, "keyring", "retire", former)
    shutil.copy(keyring, restored / "keyring.json")
    with pytest.raises(StartError, match="not the one that this database was sealed with"):
        async with running(restored / "postcore.db", sandbox.settings()):
            pass
    await done(service, "keyring", "add", "--retired", retired)
    shutil.copy(keyring, restored / "keyring.json")
    async with running(restored / "postcore.db", sandbox.settings()) as again:
        assert opened(again) == secrets


def test_a_copy_that_fails_is_reported(tmp_path: Path) -> None:
    """A database that is missing, another program's, or no file at all; nothing is left behind."""
    copy = tmp_path / "copy.db"
    for url, message in (
        (f"sqlite:///{tmp_path / 'nothing.db'}", "there is no database of this service at"),
        ("postgresql://u:hunter2@h/d", "pg_dump"),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            back_up(url, copy)
        assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_database_makes_no_backup(database: Path) -> None:
    """It is reported, not copied."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO api_keys VALUES ('k','unknown','','','','',1,NULL)")
    copy = database.with_name("copy.db")
    with pytest.raises(StoreError, match="does not pass SQLite's own checks"):
        back_up(f"sqlite:///{database}", copy)
    content = bytearray(database.read_bytes())
    for place in range(4096, len(content), 4096):
        content[place : place + 64] = b"\xff" * 64
    database.write_bytes(content)
    with pytest.raises(StoreError):
        back_up(f"sqlite:///{database}", copy)
    assert not copy.exists()
    assert not list(database.parent.glob(".copy*"))
