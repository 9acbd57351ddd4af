"""The canary: a known text, sealed in the store, that only the store's own keyring opens.

The store also remembers a mark of each key it was ever used with. A keyring with one wrong key
could open the canary and all secrets, and still reject every API key.
"""

from service.crypto.keyring import Keyring
from service.crypto.vault import Vault
from service.domain.records import Envelope, Purpose, SecretAddress
from service.domain.store import FactStore

NAME = "canary"
TEXT = "The keyring that sealed this is the keyring of this store."
ADDRESS = SecretAddress("", "", "", "", "", 0)


async def sealed_canary(facts: FactStore) -> Envelope | None:
    """Return the stored canary, None if the store was never used with a keyring.

    Raises ValueError where it is damaged.
    """
    stored = await facts.get(NAME)
    return None if stored is None else _parsed(stored)


async def prove(facts: FactStore, vault: Vault, keyring: Keyring) -> None:
    """Raise UnknownKey, Unreadable or ValueError unless *keyring*, the vault's, is the store's."""
    stored = await facts.get(NAME)
    if stored is None:
        sealed = vault.seal(TEXT, Purpose.CANARY, ADDRESS)
        stored = await facts.put_once(NAME, _formatted(sealed))
    vault.open(_parsed(stored), Purpose.CANARY, ADDRESS)
    for key in keyring.keys:
        name = f"{NAME} {key.key_id}"
        mark = await facts.get(name) or await facts.put_once(name, key.mark)
        if mark != key.mark:
            raise ValueError(name)


async def rewrap(facts: FactStore, vault: Vault) -> None:
    """Rewrap the canary with the active key. Raises as `prove` does."""
    stored = await facts.get(NAME)
    if stored is not None:
        sealed = _parsed(stored)
        rewrapped = vault.rewrap(sealed, Purpose.CANARY, ADDRESS)
        if rewrapped.ring_key_id != sealed.ring_key_id:
            await facts.replace(NAME, stored, _formatted(rewrapped))


def _formatted(sealed: Envelope) -> str:
    return f"{sealed.ring_key_id} {sealed.envelope.hex()}"


def _parsed(written: str) -> Envelope:
    key_id, _, envelope = written.partition(" ")
    return Envelope(key_id, bytes.fromhex(envelope))
