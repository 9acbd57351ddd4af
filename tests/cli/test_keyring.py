"""The keyring file: created once, readable only by its owner, validated and reloaded."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from service.crypto import keyring as keyring_module
from service.crypto.keyring import (
    KeyPurpose,
    Keyring,
    KeyringError,
    KeyState,
    UnknownKey,
    create_keyring,
    new_keys,
    read_keys,
)
from tests.cli.home import Home


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    create_keyring(path, new_keys("2026-01-02T03:04:05+00:00"))
    return path


@pytest.mark.quick
@pytest.mark.process
def test_init_needs_no_database(empty_home: Home) -> None:
    """It may come before the database's server is up."""
    shown = empty_home.run("keyring", "init", DATABASE_URL="postgresql://user@127.0.0.1:1/none")
    assert shown.code == 0, shown.err


@pytest.mark.quick
@pytest.mark.process
def test_a_keyring_is_made_once(empty_home: Home) -> None:
    """Only the owner may read its file and folder; a second `init` does not change it."""
    assert empty_home.run("keyring", "init").code == 0
    assert empty_home.keyring.stat().st_mode & 0o777 == 0o600
    assert empty_home.keyring.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in empty_home.keyring.parent.iterdir()] == ["keyring.json"]
    before = empty_home.keyring.read_bytes()
    again = empty_home.run("keyring", "init")
    assert again.sentence == (
        "there is a keyring at data/keyring.json already; it was left as it is"
    )
    assert empty_home.keyring.read_bytes() == before


@pytest.mark.process
def test_of_two_at_once_one_wins(empty_home: Home) -> None:
    """Of two `keyring init` at once, one makes the keyring and the other reports that there is
    one."""
    with ExitStack() as stack:
        both = [stack.enter_context(empty_home.started("keyring", "init")) for _ in range(2)]
        assert sorted(each.end() for each in both) == [0, 1]
        message = " ".join(each.errors for each in both)
        assert "made the keyring" in message
        assert "there is a keyring" in message
    assert len(read_keys(empty_home.keyring)) == 3


@pytest.mark.process
def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    """The file is whole, and the winner's; no other file is left."""
    path, together = tmp_path / "keyring.json", Barrier(8)

    def attempt(_: int) -> str:
        keys = new_keys("now")
        together.wait(10)
        try:
            create_keyring(path, keys)
        except KeyringError:
            return ""
        return keys[0].key_id

    with ThreadPoolExecutor(8) as threads:
        [winner] = filter(None, threads.map(attempt, range(8)))
    assert winner in [key.key_id for key in read_keys(path)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.process
def test_status_lists_the_keys_and_no_secret(home: Home) -> None:
    """It lists id, purpose, state, time, rows and wrap. The repr of a key hides its secret."""
    status = home.run("keyring", "status")
    assert (status.code, status.err) == (0, "")
    keys = read_keys(home.keyring)
    assert status.out.splitlines() == [
        f"{key.key_id}\t{key.purpose}\tactive\t{key.created_at}\t0\t"
        + ("derived" if key.purpose is KeyPurpose.SEAL else "-")
        for key in keys
    ]
    for key in keys:
        for secret in (base64.b64encode(key.secret).decode(), repr(key.secret), key.secret.hex()):
            assert secret not in status.out + repr(keys)


@pytest.mark.process
def test_keyring_errors_are_one_sentence(home: Home) -> None:
    """Every command that needs the keyring reports the error with exit code 1."""
    home.keyring.chmod(0o640)
    assert home.run("keyring", "status").sentence == (
        "the keyring data/keyring.json is open to others (mode 0640); "
        "run: chmod 600 data/keyring.json"
    )
    home.keyring.unlink()
    create = ("api-keys", "create", "--tenant", "ten_x")
    missing = "there is no keyring at data/keyring.json; make one: postcore keyring init"
    assert home.run(*create).sentence == missing


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_a_keyring_that_others_can_access_is_rejected(keyring: Path, mode: int) -> None:
    """Group and others may have no bit of the mode."""
    keyring.chmod(mode)
    with pytest.raises(KeyringError, match="is open to others"):
        Keyring(keyring)


Written = dict[str, Any]


def without(purpose: str) -> Callable[[Written], object]:
    return lambda written: {
        **written,
        "keys": [key for key in written["keys"] if key["purpose"] != purpose],
    }


def with_first(**fields: object) -> Callable[[Written], object]:
    return lambda written: {
        **written,
        "keys": [{**written["keys"][0], **fields}, *written["keys"][1:]],
    }


DAMAGE: dict[str, tuple[Callable[[Written], object], str]] = {
    "a list": (lambda written: [written], "is damaged"),
    "null": (lambda _: None, "is damaged"),
    "no version": (lambda written: {"keys": written["keys"]}, "is damaged"),
    "a newer version": (lambda written: {**written, "version": 3}, "does not know"),
    "a key that an older program would take": (
        lambda written: {**written, "version": 1},
        "is damaged",
    ),
    "an unknown wrap": (with_first(wrap="twice"), "is damaged"),
    "no keys": (lambda _: {"version": 1}, "is damaged"),
    "keys that are none": (lambda _: {"version": 1, "keys": ["a", 1]}, "is damaged"),
    "an empty keyring": (lambda _: {"version": 1, "keys": []}, "exactly one active key"),
    "a key too short": (with_first(key="AAAA"), "is damaged"),
    "a key that is not base64": (with_first(key="!" * 44), "is damaged"),
    "an unknown purpose": (with_first(purpose="fun"), "is damaged"),
    "an unknown state": (with_first(state="old"), "is damaged"),
    "an id that is a number": (with_first(id=7), "is damaged"),
    "an id with a space": (with_first(id="a b"), "is damaged"),
    "an empty id": (with_first(id=""), "is damaged"),
    "no active key": (with_first(state="previous"), "exactly one active key"),
    "a purpose with no key": (without("token"), "exactly one active key"),
    "two active keys": (
        lambda written: {
            **written,
            "keys": [*written["keys"], {**written["keys"][0], "id": "another"}],
        },
        "exactly one active key",
    ),
    "a key twice": (
        lambda written: {
            **written,
            "keys": [*written["keys"], {**written["keys"][0], "state": "previous"}],
        },
        "names a key twice",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_keyring_is_rejected(
    keyring: Path, damage: Callable[[Written], object], message: str
) -> None:
    """The sentence names the error and no secret; no part of the file is used."""
    written = json.loads(keyring.read_text())
    keyring.write_text(json.dumps(damage(written)))
    with pytest.raises(KeyringError, match=message) as caught:
        Keyring(keyring)
    assert not any(key["key"] in str(caught.value) for key in written["keys"])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 5000])
def test_a_keyring_that_is_not_json_is_rejected(keyring: Path, content: bytes) -> None:
    """Examples: empty, truncated, not text, or nested too deeply."""
    keyring.write_bytes(content)
    with pytest.raises(KeyringError, match="is not JSON"):
        Keyring(keyring)


def test_a_keyring_that_is_not_a_file_is_rejected(tmp_path: Path) -> None:
    """A folder or a missing file is rejected."""
    with pytest.raises(KeyringError, match="Is a directory"):
        Keyring(tmp_path)
    with pytest.raises(KeyringError, match="there is no keyring"):
        Keyring(tmp_path / "nothing")


def test_a_changed_keyring_is_reloaded(keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reloaded at the next check of the file, and at once when an unknown key is needed."""
    loaded, written = Keyring(keyring), json.loads(keyring.read_text())
    old = loaded.active(KeyPurpose.SEAL)
    [first, *rest] = written["keys"]
    fresh = {**first, "id": "seal-new", "key": base64.b64encode(bytes(32)).decode()}
    written["keys"] = [{**first, "state": "previous"}, fresh, *rest]
    keyring.write_text(json.dumps(written))
    assert loaded.active(KeyPurpose.SEAL) == old
    assert loaded.key(KeyPurpose.SEAL, "seal-new").secret == bytes(32)
    assert loaded.key(KeyPurpose.SEAL, old.key_id).state is KeyState.PREVIOUS
    with pytest.raises(UnknownKey):
        loaded.key(KeyPurpose.API_KEY, "seal-new")
    written["keys"][1]["id"] = "seal-newer"
    keyring.write_text(json.dumps(written))
    monkeypatch.setattr(keyring_module, "RELOAD_SECONDS", -1.0)
    assert loaded.active(KeyPurpose.SEAL).key_id == "seal-newer"


def test_a_damaged_keyring_stays_in_use(keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running server keeps the keys that it has loaded."""
    monkeypatch.setattr(keyring_module, "RELOAD_SECONDS", -1.0)
    loaded = Keyring(keyring)
    active = loaded.active(KeyPurpose.TOKEN)
    for spoil in (lambda: keyring.write_text("{"), lambda: keyring.chmod(0o644), keyring.unlink):
        spoil()
        assert loaded.active(KeyPurpose.TOKEN) == active
        assert loaded.key(KeyPurpose.TOKEN, active.key_id) == active
        with pytest.raises(UnknownKey):
            loaded.key(KeyPurpose.TOKEN, "token-unknown")


@pytest.mark.parametrize("altered", [False, True], ids=["another keyring", "another secret"])
def test_another_keyring_is_never_loaded(
    keyring: Path, monkeypatch: pytest.MonkeyPatch, altered: bool
) -> None:
    """If it replaces the file of a running server, it seals nothing. The loaded keys stay in use,
    and what they have sealed opens after a restart with the right keyring."""
    monkeypatch.setattr(keyring_module, "RELOAD_SECONDS", -1.0)
    loaded, right = Keyring(keyring), keyring.read_bytes()
    active = loaded.active(KeyPurpose.SEAL)
    if altered:
        written = json.loads(right)
        written["keys"][0]["key"] = base64.b64encode(bytes(32)).decode()
        keyring.write_text(json.dumps(written))
    else:
        keyring.unlink()
        create_keyring(keyring, new_keys("another"))
    assert loaded.active(KeyPurpose.SEAL) == active
    assert loaded.key(KeyPurpose.SEAL, active.key_id) == active
    keyring.write_bytes(right)
    assert loaded.active(KeyPurpose.SEAL) == active
