"""The ring: made once, for its owner alone, and refused where it is not what it should be."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from service.crypto import keyring as ring_module
from service.crypto.keyring import (
    KeyPurpose,
    KeyState,
    Ring,
    RingError,
    UnknownKey,
    create_ring,
    new_keys,
    read_keys,
)
from tests.command.home import Home


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    create_ring(path, new_keys("2026-01-02T03:04:05+00:00"))
    return path


def test_a_ring_is_made_once(empty_home: Home) -> None:
    """File and folder are their owner's alone; a second `init` leaves the ring as it is."""
    assert empty_home.run("keyring", "init").code == 0
    assert empty_home.ring.stat().st_mode & 0o777 == 0o600
    assert empty_home.ring.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in empty_home.ring.parent.iterdir()] == ["keyring.json"]
    before = empty_home.ring.read_bytes()
    again = empty_home.run("keyring", "init")
    assert again.sentence == ("there is a ring at data/keyring.json already; it was left as it is")
    assert empty_home.ring.read_bytes() == before


def test_of_two_at_once_one_wins(empty_home: Home) -> None:
    """Two `keyring init` that start together: one makes the ring, the other is told so."""
    with ExitStack() as stack:
        both = [stack.enter_context(empty_home.started("keyring", "init")) for _ in range(2)]
        assert sorted(each.end() for each in both) == [0, 1]
        told = " ".join(each.errors for each in both)
        assert "made the ring" in told
        assert "there is a ring" in told
    assert len(read_keys(empty_home.ring)) == 3


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    """However many there are, the ring in place is whole, is the winner's, and stands alone."""
    path, together = tmp_path / "keyring.json", Barrier(8)

    def attempt(_: int) -> str:
        keys = new_keys("now")
        together.wait(10)
        try:
            create_ring(path, keys)
        except RingError:
            return ""
        return keys[0].key_id

    with ThreadPoolExecutor(8) as threads:
        [winner] = filter(None, threads.map(attempt, range(8)))
    assert winner in [key.key_id for key in read_keys(path)]
    assert list(tmp_path.iterdir()) == [path]


def test_status_lists_the_keys_and_no_secret(home: Home) -> None:
    """Id, purpose, state, time, rows, wrap; what `repr` shows of a key is no secret either."""
    status = home.run("keyring", "status")
    assert (status.code, status.err) == (0, "")
    keys = read_keys(home.ring)
    assert status.out.splitlines() == [
        f"{key.key_id}\t{key.purpose}\tactive\t{key.created_at}\t0\t"
        + ("derived" if key.purpose is KeyPurpose.SEAL else "-")
        for key in keys
    ]
    for key in keys:
        for secret in (base64.b64encode(key.secret).decode(), repr(key.secret), key.secret.hex()):
            assert secret not in status.out + repr(keys)


def test_what_is_wrong_with_a_ring_is_one_sentence(home: Home) -> None:
    """Said by whatever command needs it, with exit code 1."""
    home.ring.chmod(0o640)
    assert home.run("keyring", "status").sentence == (
        "the ring data/keyring.json is open to others (mode 0640); run: chmod 600 data/keyring.json"
    )
    home.ring.unlink()
    create = ("api-keys", "create", "--tenant", "ten_x")
    missing = "there is no ring at data/keyring.json; make one: postcore keyring init"
    assert home.run(*create).sentence == missing


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_a_ring_that_others_can_touch_is_refused(ring: Path, mode: int) -> None:
    """Whatever bit it is that group or others have."""
    ring.chmod(mode)
    with pytest.raises(RingError, match="is open to others"):
        Ring(ring)


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
    "an empty ring": (lambda _: {"version": 1, "keys": []}, "exactly one active key"),
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


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_ring_is_refused(
    ring: Path, damage: Callable[[Written], object], told: str
) -> None:
    """In a sentence that says what is wrong, and no secret; it is never used in part."""
    written = json.loads(ring.read_text())
    ring.write_text(json.dumps(damage(written)))
    with pytest.raises(RingError, match=told) as caught:
        Ring(ring)
    assert not any(key["key"] in str(caught.value) for key in written["keys"])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 5000])
def test_a_ring_that_is_not_json_is_refused(ring: Path, content: bytes) -> None:
    """Be it empty, cut short, not text, or deeper than anything is read."""
    ring.write_bytes(content)
    with pytest.raises(RingError, match="is not JSON"):
        Ring(ring)


def test_a_ring_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, and nothing at all."""
    with pytest.raises(RingError, match="Is a directory"):
        Ring(tmp_path)
    with pytest.raises(RingError, match="there is no ring"):
        Ring(tmp_path / "nothing")


def test_a_changed_ring_is_taken_up(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next look at the file; a key not yet known makes it look at once."""
    loaded, written = Ring(ring), json.loads(ring.read_text())
    old = loaded.active(KeyPurpose.SEAL)
    [first, *rest] = written["keys"]
    fresh = {**first, "id": "seal-new", "key": base64.b64encode(bytes(32)).decode()}
    written["keys"] = [{**first, "state": "previous"}, fresh, *rest]
    ring.write_text(json.dumps(written))
    assert loaded.active(KeyPurpose.SEAL) == old
    assert loaded.key(KeyPurpose.SEAL, "seal-new").secret == bytes(32)
    assert loaded.key(KeyPurpose.SEAL, old.key_id).state is KeyState.PREVIOUS
    with pytest.raises(UnknownKey):
        loaded.key(KeyPurpose.API_KEY, "seal-new")
    written["keys"][1]["id"] = "seal-newer"
    ring.write_text(json.dumps(written))
    monkeypatch.setattr(ring_module, "LOOK_EVERY", -1.0)
    assert loaded.active(KeyPurpose.SEAL).key_id == "seal-newer"


def test_a_ring_that_goes_bad_stays_in_use(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that runs goes on with the keys that it has loaded."""
    monkeypatch.setattr(ring_module, "LOOK_EVERY", -1.0)
    loaded = Ring(ring)
    active = loaded.active(KeyPurpose.TOKEN)
    for spoil in (lambda: ring.write_text("{"), lambda: ring.chmod(0o644), ring.unlink):
        spoil()
        assert loaded.active(KeyPurpose.TOKEN) == active
        assert loaded.key(KeyPurpose.TOKEN, active.key_id) == active


@pytest.mark.parametrize("altered", [False, True], ids=["another ring", "another secret"])
def test_another_ring_is_never_taken_up(
    ring: Path, monkeypatch: pytest.MonkeyPatch, altered: bool
) -> None:
    """Put in place under a server that runs, it seals nothing: the loaded keys stay in use, and
    what they have sealed opens after a restart with the right ring."""
    monkeypatch.setattr(ring_module, "LOOK_EVERY", -1.0)
    loaded, right = Ring(ring), ring.read_bytes()
    active = loaded.active(KeyPurpose.SEAL)
    if altered:
        written = json.loads(right)
        written["keys"][0]["key"] = base64.b64encode(bytes(32)).decode()
        ring.write_text(json.dumps(written))
    else:
        ring.unlink()
        create_ring(ring, new_keys("another"))
    assert loaded.active(KeyPurpose.SEAL) == active
    assert loaded.key(KeyPurpose.SEAL, active.key_id) == active
    ring.write_bytes(right)
    assert loaded.active(KeyPurpose.SEAL) == active
