"""Opened secrets: which the vault opens, and which it must not."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.connections.monitor import Monitor
from service.crypto.vault import Vault
from service.domain.records import Envelope, Purpose, SecretAddress

Opened = tuple[Purpose, str, bytes]
"""An opened secret: its purpose, profile and envelope."""
Place = tuple[str, str, str]
"""A tenant, a profile and a platform."""


class There:
    """A connection's place, and the envelopes and key ids that must not open there."""

    def __init__(self, place: Place, found: Sequence[tuple[Purpose, bytes, str]]) -> None:
        self._place = place
        self._purposes = {purpose for purpose, _, _ in found}
        self._key_ids = {key_id for _, _, key_id in found}
        self.sealed = {(purpose, place[1], envelope) for purpose, envelope, _ in found}

    def is_alarm(self, line: Any) -> bool:
        """Return whether the log line is an alarm about this connection."""
        if line["event"] == "key not in the keyring":
            return line["key_id"] in self._key_ids
        place = line.get("tenant"), line.get("profile"), line.get("platform")
        return place == self._place and line.get("purpose") in self._purposes


class Watched:
    """Records the secrets that the vault opens, and counts the monitor's finished checks."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.opened: set[Opened] = set()
        self.ended = asyncio.Semaphore(0)
        open_, done_ = Vault.open, Monitor._done

        def opening(
            vault: Vault, sealed: Envelope, purpose: Purpose, address: SecretAddress
        ) -> str:
            secret = open_(vault, sealed, purpose, address)
            self.opened.add((purpose, address.profile_key, sealed.envelope))
            return secret

        def ending(monitor: Monitor, task: asyncio.Task[None]) -> None:
            done_(monitor, task)
            self.ended.release()

        patch.setattr(Vault, "open", opening)
        patch.setattr(Monitor, "_done", ending)
