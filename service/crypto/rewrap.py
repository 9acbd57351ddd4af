"""Rewrap: everything that was sealed is sealed anew under the keyring's active key.

Which rows name another key is in the store itself, and so there is nothing else to remember: cut
short anywhere, it goes on with what is left. A row is replaced only if it still holds the envelope
that was read: what a refresh or a connect has put there meanwhile is newer, and stays.
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

AT_ONCE = 100
"""Rows of one transaction."""
PASSES = 10
FIRST = SecretAddress("", "", "", "", "", 0)
TOLD_EVERY = 10
"""Batches between two words on how far it is."""

log = structlog.get_logger()


@dataclass(slots=True)
class Count:
    """What became of the rows. *overtaken*: they changed while they were being rewrapped."""

    rewrapped: int = 0
    unreadable: int = 0
    overtaken: int = 0


class Rewrap:
    """Rewraps a store that may be in use. *tell* is told how far it is."""

    def __init__(
        self,
        store: SecretStore,
        facts: FactStore,
        vault: Vault,
        keyring: Keyring,
        tell: Callable[[str], None],
    ) -> None:
        self._store = store
        self._facts = facts
        self._vault = vault
        self._keyring = keyring
        self._tell = tell

    async def run(self) -> Count:
        """What became of the rows that named another key; those that do not open stay as they
        are, each with a line in the log."""
        await canary.reseal(self._facts, self._vault)
        total = Count()
        for _ in range(PASSES):
            count = Count()
            for purpose in (Purpose.CREDENTIAL, Purpose.SESSION):
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
            found = await self._store.sealed_otherwise(purpose, key_id, after, AT_ONCE)
            if not found:
                return
            after = found[-1].context
            resealed = [(secret, again) for secret in found if (again := self._resealed(secret))]
            count.unreadable += len(found) - len(resealed)
            written = await self._store.rewrap(resealed)
            count.rewrapped += written
            count.overtaken += len(resealed) - written
            batches += 1
            if len(found) < AT_ONCE or batches % TOLD_EVERY == 0:
                self._tell(f"{purpose.value}s: {count.rewrapped} rewrapped in all")
            # as long as it took: half of the time is for those who serve from the store
            await asyncio.sleep(perf_counter() - started)

    def _resealed(self, secret: SecretRow) -> Envelope | None:
        try:
            return self._vault.reseal(secret.sealed, secret.purpose, secret.context)
        except (UnknownKey, Unreadable) as error:
            log.error(
                "secret cannot be rewrapped",
                exception=type(error).__name__,
                purpose=secret.purpose.value,
                tenant=secret.context.tenant_id,
                profile=secret.context.profile_key,
                platform=secret.context.platform,
                key_id=secret.sealed.ring_key_id,
            )
            return None
