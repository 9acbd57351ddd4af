"""Rotation of the keyring's file: each change when it is safe, atomic, and without loss of a
key."""

import json
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest
from structlog.testing import capture_logs

from service.app.startup import open_store, open_vault, warn_of_old_key
from service.crypto import rotation as rotation_module
from service.crypto.keyring import (
    KeyPurpose,
    Keyring,
    KeyringError,
    KeyState,
    UnknownKey,
    Wrap,
    create_keyring,
    new_keys,
    read_keys,
)
from service.crypto.rotation import COMPLETION_SECONDS, PROPAGATION_SECONDS, Rotation
from tests.cli.home import Home, Outcome
from tests.support.live_changes import old_keys

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    create_keyring(path, new_keys(NOW.isoformat()))
    return path


@pytest.fixture
async def used(home: Home) -> Home:
    """A home whose database was used with its keyring."""
    async with open_store(home.settings()) as store:
        await open_vault(store, Keyring(home.keyring))
    return home


def states(path: Path, purpose: KeyPurpose = KeyPurpose.SEAL) -> list[KeyState]:
    return [key.state for key in read_keys(path) if key.purpose is purpose]


def seal_key(path: Path) -> str:
    """Return the id of the active `seal` key."""
    return Keyring(path).active(KeyPurpose.SEAL).key_id


@pytest.mark.parametrize("purpose", KeyPurpose)
def test_a_key_goes_through_its_states(path: Path, purpose: KeyPurpose) -> None:
    """A key is pending, active, previous, then in a file of its own. Only the owner can read the
    keyring in each state, and no other file is left."""
    former = Keyring(path).active(purpose)
    added = Rotation(path, NOW).add(purpose)
    assert states(path, purpose) == [KeyState.ACTIVE, KeyState.PENDING]
    assert Keyring(path).active(purpose) == former
    Rotation(path, LATER).activate(added.key_id)
    assert states(path, purpose) == [KeyState.PREVIOUS, KeyState.ACTIVE]
    keyring = Keyring(path)
    assert keyring.active(purpose).secret == added.secret
    assert keyring.key(purpose, former.key_id).secret == former.secret
    kept = Rotation(path, LATER + timedelta(days=1)).retire(former.key_id, 0)
    assert states(path, purpose) == [KeyState.ACTIVE]
    assert json.loads(kept.read_text())["keys"][0]["id"] == former.key_id
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        "keyring.json": 0o600,
        kept.name: 0o600,
    }


def test_a_key_is_activated_when_it_is_loaded_everywhere(path: Path) -> None:
    """Earlier activation fails unless it is forced; a key that was active before needs no wait."""
    former = seal_key(path)
    added = Rotation(path, NOW).add(KeyPurpose.SEAL)
    for age in (0.0, PROPAGATION_SECONDS - 1):
        with pytest.raises(KeyringError, match="too new to be loaded everywhere"):
            Rotation(path, NOW + timedelta(seconds=age)).activate(added.key_id)
    Rotation(path, NOW).activate(added.key_id, at_once=True)
    Rotation(path, NOW).activate(former)
    Rotation(path, NOW + timedelta(seconds=PROPAGATION_SECONDS)).activate(added.key_id)
    assert seal_key(path) == added.key_id
    before = path.read_bytes()
    Rotation(path, NOW).activate(added.key_id)
    assert path.read_bytes() == before


def test_a_key_is_retired_when_nothing_needs_it(path: Path) -> None:
    """Retiring fails while the key is active, a row names it, or calls that began with it may be
    under way."""
    former = seal_key(path)
    added = Rotation(path, NOW).add(KeyPurpose.SEAL)
    with pytest.raises(KeyringError, match="is active; activate another"):
        Rotation(path, LATER).retire(former, 0)
    Rotation(path, LATER).activate(added.key_id)
    with pytest.raises(KeyringError, match="is named by 3 rows; run: postcore keyring rewrap"):
        Rotation(path, LATER + timedelta(days=1)).retire(former, 3)
    with pytest.raises(KeyringError, match="may still be in use"):
        Rotation(
            path, LATER + timedelta(seconds=PROPAGATION_SECONDS + COMPLETION_SECONDS - 1)
        ).retire(former, 0)
    with pytest.raises(KeyringError, match="has no key seal-nothing"):
        Rotation(path, LATER).retire("seal-nothing", 0)
    assert former in [key.key_id for key in read_keys(path)]
    # an unused key can be retired at once
    unused = Rotation(path, LATER).add(KeyPurpose.SEAL)
    Rotation(path, LATER).retire(unused.key_id, 0)


def test_an_older_program_can_still_read_its_keyring(tmp_path: Path) -> None:
    """This holds until a `seal` key is added: that is derived, and the file gets a version that an
    older program rejects. A key retired and put back is unchanged."""
    path = tmp_path / "old.json"
    create_keyring(path, old_keys(NOW.isoformat()))

    def versions() -> tuple[int, list[str]]:
        written = json.loads(path.read_text())
        return written["version"], [key["id"] for key in written["keys"] if "wrap" in key]

    for purpose in (KeyPurpose.API_KEY, KeyPurpose.TOKEN):
        added = Rotation(path, LATER).add(purpose)
        Rotation(path, LATER).activate(added.key_id, at_once=True)
    assert versions() == (1, [])
    added = Rotation(path, LATER).add(KeyPurpose.SEAL)
    assert versions() == (2, [added.key_id])
    file = Rotation(path, LATER).retire(added.key_id, 0)
    assert versions() == (1, [])
    assert json.loads(file.read_text())["version"] == 2
    put_back = Rotation(path, LATER).put_back(file)
    assert put_back.wrap is Wrap.DERIVED
    assert versions() == (2, [added.key_id])


@pytest.mark.parametrize(
    ("wrap", "days", "warned"),
    [(Wrap.DIRECT, 91, True), (Wrap.DIRECT, 89, False), (Wrap.DERIVED, 1000, False)],
)
def test_an_old_direct_key_logs_a_warning(
    tmp_path: Path, wrap: Wrap, days: int, warned: bool
) -> None:
    """A start logs a warning with the page that describes the rotation."""
    path = tmp_path / "old.json"
    create_keyring(path, [replace(key, wrap=wrap) for key in new_keys(NOW.isoformat())])
    keyring = Keyring(path)
    with capture_logs() as lines:
        warn_of_old_key(keyring, NOW + timedelta(days=days))
    assert [line["log_level"] for line in lines] == ["warning"] * warned
    assert all(Path(line["rotate_it"]).exists() for line in lines)


def test_an_interrupted_retire_can_be_repeated(path: Path) -> None:
    """The file is written before the key leaves the keyring; no other key's file is overwritten."""
    former = seal_key(path)
    added = Rotation(path, NOW).add(KeyPurpose.SEAL)
    Rotation(path, LATER).activate(added.key_id)
    before = path.read_bytes()
    end = LATER + timedelta(days=1)
    kept = Rotation(path, end).retire(former, 0)
    written = json.loads(kept.read_text())
    path.write_bytes(before)
    written["keys"][0]["key"] = "A" * 43 + "="
    kept.write_text(json.dumps(written))
    with pytest.raises(KeyringError, match="it was left as it is"):
        Rotation(path, end).retire(former, 0)
    assert path.read_bytes() == before
    kept.unlink()
    Rotation(path, end).retire(former, 0)
    path.write_bytes(before)
    assert Rotation(path, end).retire(former, 0) == kept
    assert states(path) == [KeyState.ACTIVE]


def test_a_retired_key_can_be_put_back(path: Path) -> None:
    """A backup may need it: it opens what it sealed, and seals nothing."""
    former = Keyring(path).active(KeyPurpose.SEAL)
    added = Rotation(path, NOW).add(KeyPurpose.SEAL)
    Rotation(path, LATER).activate(added.key_id)
    kept = Rotation(path, LATER + timedelta(days=1)).retire(former.key_id, 0)
    Rotation(path, LATER).put_back(kept)
    keyring = Keyring(path)
    assert keyring.key(KeyPurpose.SEAL, former.key_id).secret == former.secret
    assert keyring.active(KeyPurpose.SEAL).key_id == added.key_id
    with pytest.raises(KeyringError, match="is in the keyring already"):
        Rotation(path, LATER).put_back(kept)
    with pytest.raises(KeyringError, match="does not hold one retired key"):
        Rotation(path, LATER).put_back(path)


def test_a_keyring_behind_a_link_is_replaced_at_its_target(path: Path, tmp_path: Path) -> None:
    """The link and its target both stay."""
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with Rotation.locked(link, NOW) as rotation:
        rotation.add(KeyPurpose.SEAL)
    assert link.is_symlink()
    assert states(path) == [KeyState.ACTIVE, KeyState.PENDING]


def test_one_change_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second command waits, then fails with a sentence. Without a keyring, it leaves no lock
    file."""
    monkeypatch.setattr(rotation_module, "LOCK_TIMEOUT_SECONDS", 0.1)
    with (
        Rotation.locked(path, NOW),
        pytest.raises(KeyringError, match="another command is changing"),
        Rotation.locked(path, NOW),
    ):
        pass
    with Rotation.locked(path, NOW) as rotation:
        rotation.add(KeyPurpose.SEAL)
    nothing = path.with_name("nothing.json")
    with pytest.raises(KeyringError, match="there is no keyring"), Rotation.locked(nothing, NOW):
        pass
    assert not list(path.parent.glob("*nothing*"))


@pytest.mark.process
def test_concurrent_adds_lose_no_key(home: Home) -> None:
    """Commands that start together all add their key."""
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(home.started("keyring", "add")) for _ in range(4)]
        assert [each.end() for each in all_of_them] == [0] * 4
        added = [each.rest()[-1] for each in all_of_them]
    assert {key.key_id for key in read_keys(home.keyring)} >= set(added)
    assert len(read_keys(home.keyring)) == 3 + 4


@pytest.mark.process
def test_a_killed_command_loses_no_key(home: Home) -> None:
    """Killed at any moment, it leaves the keyring unchanged or changed, and it can be changed
    again."""
    before = {key.key_id: key.secret for key in read_keys(home.keyring)}
    for _ in range(8):
        with home.started("keyring", "add") as command:
            sleep(random.uniform(0.1, 0.4))
            command.end(signal.SIGKILL)
        after = {key.key_id: key.secret for key in read_keys(home.keyring)}
        assert after.items() >= before.items()
        before = after
    assert home.value("keyring", "add") in [key.key_id for key in read_keys(home.keyring)]
    assert not list(home.keyring.parent.glob(".*"))


@pytest.mark.parametrize("call", ["write_draft", "sync_folder"])
def test_a_full_disk_loses_no_key(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The error is one sentence, and the keyring is whole."""
    before = read_keys(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rotation_module, call, full)
    with pytest.raises(KeyringError, match="No space left on device"):
        Rotation(path, NOW).add(KeyPurpose.SEAL)
    assert read_keys(path)[: len(before)] == before


def test_a_removed_key_still_opens_for_a_minute(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls under way may need it; later it is unknown, and it is never active."""
    former = seal_key(path)
    added = Rotation(path, NOW).add(KeyPurpose.SEAL)
    Rotation(path, LATER).activate(added.key_id)
    running = Keyring(path)
    Rotation(path, LATER + timedelta(days=1)).retire(former, 0)
    monkeypatch.setattr("service.crypto.keyring.RELOAD_SECONDS", -1.0)
    assert running.active(KeyPurpose.SEAL).key_id == added.key_id
    assert running.key(KeyPurpose.SEAL, former).key_id == former
    monkeypatch.setattr("service.crypto.keyring.RETIRED_SECONDS", -1.0)
    with pytest.raises(UnknownKey):
        running.key(KeyPurpose.SEAL, former)


def test_the_commands_rotate_a_key(
    used: Home, run_here: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of the guide (add, activate, rewrap, retire) print what it says; the canary is
    rewrapped too, and status counts the rows of each key."""
    former = seal_key(used.keyring)
    added = run_here("keyring", "add").out.strip()
    assert run_here("keyring", "activate", added).code == 1
    monkeypatch.setattr(rotation_module, "PROPAGATION_SECONDS", 0.0)
    monkeypatch.setattr(rotation_module, "COMPLETION_SECONDS", 0.0)
    assert run_here("keyring", "activate", added).err == f"{added} is active\n"
    assert rows(run_here) == {former: "1", added: "0"}
    assert "is named by 1 rows" in run_here("keyring", "retire", former).err
    assert run_here("keyring", "rewrap").code == 0
    assert rows(run_here) == {former: "0", added: "1"}
    retired = run_here("keyring", "retire", former)
    assert (retired.code, Path(retired.out.strip()).name) == (0, f"retired-{former}.json")
    assert rows(run_here) == {added: "1"}
    assert run_here("keyring", "add", "--retired", retired.out.strip()).out == f"{former}\n"


def rows(run_here: Callable[..., Outcome]) -> dict[str, str]:
    """Return the rows of each `seal` key by `keyring status`."""
    lines = [line.split("\t") for line in run_here("keyring", "status").out.splitlines()]
    return {line[0]: line[4] for line in lines if line[1] == "seal"}


def test_a_key_is_retired_only_beside_its_own_database(
    home: Home, run_here: Callable[..., Outcome]
) -> None:
    """A database that was never used with a keyring cannot show which rows name the key."""
    added = run_here("keyring", "add").out.strip()
    refused = run_here("keyring", "retire", added)
    assert "this database was never used with a keyring" in refused.err
    assert len(read_keys(home.keyring)) == 4
