"""Keyrings: damage to the keyring's file while a service uses it."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from service.crypto.keyring import create_keyring, new_keys

from .load_during_fault import LoadedService, some, within
from .row import Figure

LOOK_SECONDS = 8.0
"""The time within which a service reads a changed keyring."""


async def keyring_in_use(loaded: LoadedService, keyring: Path, log: Path, part: float) -> Figure:
    """Damage the keyring in use: calls must succeed, and the log must report the damage."""
    whole = await asyncio.to_thread(keyring.read_bytes)
    damages = damages_of(keyring)
    logged = well = 0
    names = some(list(damages), part)
    for name in names:
        before = _complaints(log)
        damages[name]()
        logged += await within(LOOK_SECONDS, partial(_complained, log, before))
        well += await loaded.recovered()
        write_keyring(keyring, whole)
    return Figure(
        f"keyring {', '.join(names)}, while it is in use",
        f"logged {logged} of {len(names)} times; calls went on {well} of {len(names)} times",
        logged == well == len(names),
    )


def _complained(log: Path, before: int) -> bool:
    return _complaints(log) > before


def _complaints(log: Path) -> int:
    """Count the log lines about a keyring; an unchanged bad one is logged at every read."""
    return log.read_text().count("keyring cannot be read again")


def damages_of(keyring: Path) -> dict[str, Callable[[], object]]:
    """Return each kind of damage to a keyring's file, by name."""
    whole = keyring.read_bytes()

    def replace() -> None:
        keyring.unlink()
        create_keyring(keyring, new_keys("another"))

    return {
        "open to others": lambda: write_keyring(keyring, whole, 0o644),
        "gone": keyring.unlink,
        "replaced": replace,
        "cut": lambda: write_keyring(keyring, whole[: len(whole) // 2]),
    }


def write_keyring(keyring: Path, content: bytes, mode: int = 0o600) -> None:
    draft = keyring.with_name("draft")
    draft.write_bytes(content)
    draft.chmod(mode)
    draft.rename(keyring)
