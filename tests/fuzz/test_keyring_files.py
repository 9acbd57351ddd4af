"""Keyring files: any file is a keyring, or gives an error that holds no key."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from structlog.testing import capture_logs

from service.crypto.keyring import (
    KeyPurpose,
    Keyring,
    KeyringError,
    create_keyring,
    new_keys,
    read_keys,
)

from .json_texts import json_texts
from .target import ANYTHING, EDITS, SEEDS, Read, Target, derived, own

NAMES = ("version", "keys", "id", "purpose", "state", "created_at", "since", "key")
VALUES = (
    "seal",
    "api_key",
    "token",
    "active",
    "pending",
    "a",
    base64.b64encode(bytes(32)).decode(),
)


@contextmanager
def opened(folder: Path) -> Iterator[Read]:
    path = folder / "keyring.json"
    keys = new_keys("test")
    create_keyring(path, keys)
    whole = path.read_bytes()
    secrets = [base64.b64encode(key.secret).decode() for key in keys]
    running = Keyring(path)

    def read(data: bytes) -> None:
        written = derived(data, whole)
        # in place, which keeps its mode
        with path.open("r+b") as file:
            file.write(written)
            file.truncate()
        os.utime(path, ns=(0, len(written)))
        try:
            found = read_keys(path)
        except KeyringError as error:
            text = str(error)
            assert text.count("\n") == 0
            assert "keyring" in text
            assert not any(secret in text for secret in secrets)
        else:
            assert {key.purpose for key in found} == set(KeyPurpose)
            assert all(len(key.secret) == 32 for key in found)
        with capture_logs() as lines:
            # a running process keeps its keys
            assert running.find(KeyPurpose.SEAL, "no-such-key") is None
            assert running.find(KeyPurpose.SEAL, keys[0].key_id) is not None
            running.active(KeyPurpose.SEAL)
        assert not any(secret in repr(lines) for secret in secrets)

    yield read


TARGET = Target(
    opened,
    (
        *SEEDS,
        b'\0{"version": 1, "keys": []}',
        b'\0{"version": 2}',
        b'\0{"version": 1, "keys": [{"id": 1}]}',
    ),
)


def entry(**fields: object) -> dict[str, object]:
    return {
        "id": "a",
        "purpose": "seal",
        "state": "active",
        "created_at": "t",
        "key": VALUES[-1],
    } | fields


@settings(deadline=None)
@given(EDITS | ANYTHING | own(json_texts(NAMES, VALUES)))
@example(b"\0" + json.dumps({"version": 1, "keys": [entry(id=["a"])]}).encode())
@example(b"\0" + json.dumps({"version": 1, "keys": [entry(purpose={})]}).encode())
@example(b"\0" + json.dumps({"version": 1, "keys": [entry(key=None)]}).encode())
@example(b"\0" + b"[" * 5000)
def test_any_file(read: Read, data: bytes) -> None:
    """Any content is accepted or rejected, and a running process keeps its keys."""
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
