"""Rewrap: seal again, with the keyring's active key, everything that an older key sealed.

Rows name their keys, so the store itself records the progress: an interrupted rewrap resumes with
the rows that are left. A row is replaced only if it still holds the envelope that was read; what a
refresh or a connect has written in between is newer, and stays.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import structlog

from service.crypto import canary
from service.crypto.keyring import KeyPurpose, Keyring, UnknownKey
from service.crypto.vault import Unreadable, Vault
from service.domain.records import Envelope, Purpose, SecretAddress, SecretRow
from service.domain.store import FactStore, SecretStore

BATCH_SIZE = 100
"""Rows of one transaction."""
MAX_PASSES = 10
FIRST = SecretAddress("", "", "", "", "", 0)
PROGRESS_BATCHES = 10
"""Batches between two reports of progress."""

log = structlog.get_logger()


@dataclass(slots=True)
class Count:
    """Rows by result. *overtaken* rows changed while they were being rewrapped."""

    rewrapped: int = 0
    unreadable: int = 0
    overtaken: int = 0


class Rewrap:
    """Rewraps a store that may be in use; reports progress to *show*."""

    def __init__(
        self,
        store: SecretStore,
        facts: FactStore,
        vault: Vault,
        keyring: Keyring,
        show: Callable[[str], None],
    ) -> None:
        self._store = store
        self._facts = facts
        self._vault = vault
        self._keyring = keyring
        self._show = show

    async def run(self) -> Count:
        """Rewrap all rows that name another key, and count them.

        Rows that do not open stay as they are, each with a line in the log.
        """
        await canary.rewrap(self._facts, self._vault)
        total = Count()
        for _ in range(MAX_PASSES):
            count = Count()
            for purpose in (Purpose.CREDENTIAL, Purpose.SESSION, Purpose.WEBHOOK):
                await self._pass(purpose, count)
            total.rewrapped += count.rewrapped
            total.unreadable, total.overtaken = count.unreadable, count.overtaken
            if not count.overtaken:
                break
        return total

    async def _pass(self, purpose: Purpose, count: Count) -> None:
        after, batches = FIRST, 0
        while True:
            started = perf_counter()
            key_id = self._keyring.active(KeyPurpose.SEAL).key_id
            found = await self._store.sealed_otherwise(purpose, key_id, after, BATCH_SIZE)
            if not found:
                return
            after = found[-1].address
            rewrapped = [
                (secret, envelope) for secret in found if (envelope := self._rewrapped(secret))
            ]
            count.unreadable += len(found) - len(rewrapped)
            written = await self._store.replace_unchanged(rewrapped)
            count.rewrapped += written
            count.overtaken += len(rewrapped) - written
            batches += 1
            if len(found) < BATCH_SIZE or batches % PROGRESS_BATCHES == 0:
                self._show(f"{purpose.value}s: {count.rewrapped} rewrapped in all")
            # pauses for as long as the batch took: servers get half of the store's time
            await asyncio.sleep(perf_counter() - started)

    def _rewrapped(self, secret: SecretRow) -> Envelope | None:
        try:
            return self._vault.rewrap(secret.sealed, secret.purpose, secret.address)
        except (UnknownKey, Unreadable) as error:
            log.error(
                "secret cannot be rewrapped",
                exception=type(error).__name__,
                purpose=secret.purpose.value,
                tenant=secret.address.tenant_id,
                profile=secret.address.profile_key,
                platform=secret.address.platform,
                key_id=secret.sealed.ring_key_id,
            )
            return None
