"""The canary: a known text, sealed in the store, which the right ring alone opens.

With it the store remembers a mark of each key that it was ever used with: a ring that is right but
for one key would open all secrets, and take every API key for a false one.
"""

from service.crypto.keyring import Ring
from service.crypto.vault import Vault
from service.domain.records import Purpose, SealContext, Sealed
from service.domain.store import Store

NAME = "canary"
TEXT = "The ring that sealed this is the ring of this store."
PLACE = SealContext("", "", "", "", "", 0)


async def sealed_canary(store: Store) -> Sealed | None:
    """As it is stored, None where no ring has been used with *store* yet; raises ValueError."""
    written = await store.remembered(NAME)
    return None if written is None else _read(written)


async def prove(store: Store, vault: Vault, ring: Ring) -> None:
    """Raises UnknownKey, Unreadable or ValueError, unless *ring*, the vault's, is the store's."""
    written = await store.remembered(NAME)
    if written is None:
        sealed = vault.seal(TEXT, Purpose.CANARY, PLACE)
        written = await store.remember(NAME, _written(sealed))
    vault.open(_read(written), Purpose.CANARY, PLACE)
    for key in ring.keys:
        name = f"{NAME} {key.key_id}"
        mark = await store.remembered(name) or await store.remember(name, key.mark)
        if mark != key.mark:
            raise ValueError(name)


async def reseal(store: Store, vault: Vault) -> None:
    """Have it under the active key. Raises as `prove` does."""
    written = await store.remembered(NAME)
    if written is not None:
        sealed = _read(written)
        again = vault.reseal(sealed, Purpose.CANARY, PLACE)
        if again.ring_key_id != sealed.ring_key_id:
            await store.revise(NAME, written, _written(again))


def _written(sealed: Sealed) -> str:
    return f"{sealed.ring_key_id} {sealed.envelope.hex()}"


def _read(written: str) -> Sealed:
    key_id, _, envelope = written.partition(" ")
    return Sealed(key_id, bytes.fromhex(envelope))
