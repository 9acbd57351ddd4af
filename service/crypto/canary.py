"""The canary: a known text, sealed in the store, which the right keyring alone opens.

With it the store remembers a mark of each key that it was ever used with: a keyring that is right
but for one key would open all secrets, and take every API key for a false one.
"""

from service.crypto.keyring import Keyring
from service.crypto.vault import Vault
from service.domain.records import Envelope, Purpose, SecretAddress
from service.domain.store import FactStore

NAME = "canary"
TEXT = "The keyring that sealed this is the keyring of this store."
PLACE = SecretAddress("", "", "", "", "", 0)


async def sealed_canary(facts: FactStore) -> Envelope | None:
    """As it is stored, None where no keyring has been used with *facts* yet; raises ValueError."""
    written = await facts.get(NAME)
    return None if written is None else _read(written)


async def prove(facts: FactStore, vault: Vault, keyring: Keyring) -> None:
    """Raises UnknownKey, Unreadable or ValueError, unless *keyring*, the vault's, is the
    store's."""
    written = await facts.get(NAME)
    if written is None:
        sealed = vault.seal(TEXT, Purpose.CANARY, PLACE)
        written = await facts.put_once(NAME, _written(sealed))
    vault.open(_read(written), Purpose.CANARY, PLACE)
    for key in keyring.keys:
        name = f"{NAME} {key.key_id}"
        mark = await facts.get(name) or await facts.put_once(name, key.mark)
        if mark != key.mark:
            raise ValueError(name)


async def reseal(facts: FactStore, vault: Vault) -> None:
    """Have it under the active key. Raises as `prove` does."""
    written = await facts.get(NAME)
    if written is not None:
        sealed = _read(written)
        again = vault.reseal(sealed, Purpose.CANARY, PLACE)
        if again.ring_key_id != sealed.ring_key_id:
            await facts.replace(NAME, written, _written(again))


def _written(sealed: Envelope) -> str:
    return f"{sealed.ring_key_id} {sealed.envelope.hex()}"


def _read(written: str) -> Envelope:
    key_id, _, envelope = written.partition(" ")
    return Envelope(key_id, bytes.fromhex(envelope))
