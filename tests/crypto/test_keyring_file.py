"""The keyring's file: who else may read it."""

import os
import stat
from pathlib import Path

import pytest

from service.crypto.keyring import KeyringError, create_keyring, new_keys, read_keys

USER = 1000


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    create_keyring(path, new_keys("test"))
    return path


@pytest.mark.parametrize(
    ("owner", "reader", "mode", "accepted"),
    [
        (USER, USER, 0o600, True),
        (USER, USER, 0o440, False),
        (0, USER, 0o440, True),
        (0, USER, 0o640, True),
        (0, USER, 0o460, False),
        (0, USER, 0o444, False),
        (0, 0, 0o440, False),
        (0, 0, 0o600, True),
    ],
)
def test_a_group_may_read_what_root_has_lent_it(
    keyring: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: int,
    reader: int,
    mode: int,
    *,
    accepted: bool,
) -> None:
    """As a Secret is mounted: a file of root's, for a service that is another user."""
    kind = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, owner, USER, 1, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: kind)
    monkeypatch.setattr(os, "geteuid", lambda: reader)
    if accepted:
        assert len(read_keys(keyring)) == 3
    else:
        with pytest.raises(KeyringError, match=f"is open to others .mode {mode:04o}"):
            read_keys(keyring)
