"""API keys: minted, stored only as an HMAC, checked."""

import re
from pathlib import Path

import pytest

from service.access.api_keys import BASE62, MAX_CACHED_KEYS, ApiKeys, _checksum
from service.crypto.keyring import KeyPurpose, Keyring, create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.errors import InvalidApiKey
from service.domain.model import DEFAULT_SCOPES, ApiKey, Scope, Tenant
from service.storage.sqlite import SqliteEngine
from service.storage.statements import api_keys as statements
from service.storage.store import SqlStore


class Keys:
    """A store of API keys that counts its reads."""

    def __init__(self) -> None:
        self.stored: dict[str, ApiKey] = {}
        self.reads = 0

    async def get(self, key_id: str) -> ApiKey | None:
        self.reads += 1
        return self.stored.get(key_id)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def api_keys(keys: Keys, tmp_path: Path) -> ApiKeys:
    create_keyring(tmp_path / "keyring.json", new_keys("test"))
    return ApiKeys(keys, Keyring(tmp_path / "keyring.json"), SystemClock())  # type: ignore[arg-type]


async def test_a_minted_key_is_checked(api_keys: ApiKeys, keys: Keys) -> None:
    """It has the documented shape, and its record is found and read once in 5 s."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES | {Scope.SESSIONS_LEASE})
    keys.stored[kept.key_id] = kept
    assert re.fullmatch(r"pc_live_[a-z0-9]{16}_[0-9A-Za-z]{49}", plain)
    for _ in range(3):
        assert await api_keys.check(plain) == kept
    assert keys.reads == 1


async def test_the_stored_record_holds_no_key(api_keys: ApiKeys) -> None:
    """It holds an HMAC of 32 bytes, which its repr does not show."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    secret = plain.split("_")[3]
    assert len(kept.verifier) == 32
    assert secret not in repr(kept)
    assert repr(kept.verifier) not in repr(kept)


async def test_one_wrong_letter_never_reaches_the_store(api_keys: ApiKeys, keys: Keys) -> None:
    """The checksum catches every wrong letter."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.stored[kept.key_id] = kept
    for place in range(len("pc_live_"), len(plain)):
        for letter in {"0", "a", "Z"} - {plain[place]}:
            with pytest.raises(InvalidApiKey):
                await api_keys.check(plain[:place] + letter + plain[place + 1 :])
    assert keys.reads == 0


async def test_a_guess_with_a_valid_checksum_is_rejected(api_keys: ApiKeys, keys: Keys) -> None:
    """A known id with another secret is no key."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.stored[kept.key_id] = kept
    body = f"pc_live_{kept.key_id}_{'0' * 43}"
    with pytest.raises(InvalidApiKey):
        await api_keys.check(body + _checksum(body))
    assert await api_keys.check(plain) == kept


async def test_guesses_evict_no_key_in_use_and_have_a_bounded_cache(
    api_keys: ApiKeys, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown ids have a bounded cache of their own."""
    monkeypatch.setattr("service.access.api_keys.MAX_CACHED_KEYS", 50)
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.stored[kept.key_id] = kept
    await api_keys.check(plain)
    for number in range(200):
        body = f"pc_live_{number:016d}_{'0' * 43}"
        with pytest.raises(InvalidApiKey):
            await api_keys.check(body + _checksum(body))
    assert len(api_keys._unknown) == 50
    reads = keys.reads
    assert await api_keys.check(plain) == kept
    assert keys.reads == reads
    assert MAX_CACHED_KEYS > 1000


async def test_a_key_minted_with_another_keyring_is_rejected(
    api_keys: ApiKeys, keys: Keys, tmp_path: Path
) -> None:
    """A stolen database cannot be made to accept keys minted elsewhere."""
    create_keyring(tmp_path / "other.json", new_keys("test"))
    other = Keyring(tmp_path / "other.json")
    plain, kept = ApiKeys(keys, other, SystemClock()).mint(  # type: ignore[arg-type]
        "ten_a", "name", DEFAULT_SCOPES
    )
    ours = api_keys._keyring.active(KeyPurpose.API_KEY).key_id
    keys.stored[kept.key_id] = ApiKey(
        kept.key_id, "ten_a", "name", DEFAULT_SCOPES, ours, kept.verifier, 1
    )
    with pytest.raises(InvalidApiKey):
        await api_keys.check(plain)


def test_minted_keys_are_all_different(api_keys: ApiKeys) -> None:
    """Between them, minted keys use every letter of the alphabet."""
    minted = {api_keys.mint("ten_a", "", DEFAULT_SCOPES)[0] for _ in range(300)}
    assert len(minted) == 300
    assert set(BASE62) <= set("".join(plain.split("_")[3] for plain in minted))


async def test_unknown_and_known_ids_are_read_alike(database: Path) -> None:
    """The store returns one row of the same columns for either, so that the time it takes does not
    reveal which ids exist."""
    engine = await SqliteEngine.open(database)
    store = SqlStore(engine)
    await store.tenants.create(Tenant("ten_a", "A", 1))
    key = ApiKey("a" * 16, "ten_a", "", DEFAULT_SCOPES, "api-1", b"v" * 32, 1)
    assert await store.api_keys.add(key)
    [known] = await engine.read(statements.API_KEY, key.key_id, bytes(32))
    [unknown] = await engine.read(statements.API_KEY, "b" * 16, bytes(32))
    found = [await store.api_keys.get(one) for one in (key.key_id, "b" * 16, unknown["key_id"])]
    await store.close()
    assert known.keys() == unknown.keys()
    assert found == [key, None, None]
